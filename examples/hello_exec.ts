// libbpf's dialect, unchanged: a section name says where the program runs, and the source declares its helper itself.
//
// rxbpf run examples/hello_exec.ts [--seconds N]
//
//   2047.120931 sh-4131 Hello, BPF World!
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ src_file: fileURLToPath(new URL("hello_exec.c", import.meta.url)) });
const signal = stopSignal({ seconds: values.seconds });

let lines = 0;
for (;;) {
  const fields = await b.trace_fields(false, { signal });
  if (fields === null) break;
  const [task, pid, , , ts, msg] = fields;
  lines++;
  console.log(`${ts.toFixed(6)} ${task}-${pid} ${msg}`);
}
console.log(`total: ${lines} lines`);
