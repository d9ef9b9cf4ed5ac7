// libbpf's dialect, unchanged: a section name says where the program runs, and the source declares its helper itself.
//
// rxbpf run examples/hello_exec.ts [--seconds N]
//
//              sh-4131    [001] d..31  2047.120931: bpf_trace_printk: Hello, BPF World!
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({ options: { seconds: { type: "string" } } });
const signal = stopSignal({ seconds: values.seconds });

using b = new BPF({ src_file: fileURLToPath(new URL("hello_exec.c", import.meta.url)) });
await b.trace_print(undefined, { signal });
console.log(`total: ${b.num_open_tracepoints()} tracepoint was attached`);
