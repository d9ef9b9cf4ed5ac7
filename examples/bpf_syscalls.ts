// Which bpf(2) commands processes use: a tracepoint whose record the program reads through "args". The source attaches
// itself by its name.
//
// rxbpf run examples/bpf_syscalls.ts [--seconds N]
//
//   bpftool-4131 5
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const program = `
TRACEPOINT_PROBE(syscalls, sys_enter_bpf)
{
    bpf_trace_printk("%d\\n", args->cmd);
    return 0;
}
`;

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ text: program });
const signal = stopSignal({ seconds: values.seconds });
let calls = 0;
const printing = b.traceLines().subscribe(({ task, pid, msg }) => {
  calls++;
  console.log(`${task}-${pid} ${msg.trim()}`);
});

await aborted(signal);
printing.unsubscribe();
console.log(`total: ${calls} calls of bpf(2)`);
