// A program from a C file, at the opening of files: the kernel function do_sys_openat2 where any function can be probed,
// else the system calls that open files. Prints lines as the trace pipe has them.
//
// rxbpf run examples/hello_open.ts [--seconds N]
//
//              cat-4131    [001] d..31  2047.120931: bpf_trace_printk: Hello, World!
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ src_file: fileURLToPath(new URL("hello_open.c", import.meta.url)) });
const anyFunction = b.runtime === "kernel" && BPF.supports("kprobe").state === "yes";
const calls = ["open", "openat", "openat2"].map((call) => b.get_syscall_fnname(call));
for (const event of anyFunction ? ["do_sys_openat2"] : calls) {
  b.attach_kprobe({ event, fn_name: "hello_world" });
}
const signal = stopSignal({ seconds: values.seconds });

let lines = 0;
for (;;) {
  const line = await b.trace_readline(false, { signal });
  if (line === null) break;
  lines++;
  console.log(line);
}
console.log(`total: ${lines} lines`);
