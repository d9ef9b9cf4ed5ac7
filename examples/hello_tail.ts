// Dispatches every system call by number through a prog array of 300 slots: three tail-called programs, and a
// message for the rest. System calls that are too many to print go to a program that prints nothing.
//
// rxbpf run examples/hello_tail.ts [--seconds N]
//
//   node-4130  Executing a program
//   sh-4131    Another syscall: 257
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const program = `
BPF_PROG_ARRAY(syscall, 300);

int hello(struct bpf_raw_tracepoint_args *ctx) {
    int opcode = ctx->args[1];
    syscall.call(ctx, opcode);
    bpf_trace_printk("Another syscall: %d", opcode);
    return 0;
}

int hello_exec(void *ctx) {
    bpf_trace_printk("Executing a program");
    return 0;
}

int hello_timer(struct bpf_raw_tracepoint_args *ctx) {
    int opcode = ctx->args[1];
    switch (opcode) {
        case 222:
            bpf_trace_printk("Creating a timer");
            break;
        case 226:
            bpf_trace_printk("Deleting a timer");
            break;
        default:
            bpf_trace_printk("Some other timer operation");
            break;
    }
    return 0;
}

int ignore_opcode(void *ctx) {
    return 0;
}
`;

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ text: program });
const execFn = b.load_func("hello_exec", BPF.RAW_TRACEPOINT);
const timerFn = b.load_func("hello_timer", BPF.RAW_TRACEPOINT);
const ignoreFn = b.load_func("ignore_opcode", BPF.RAW_TRACEPOINT);

// What a quiet machine, this script and the printing itself do all the time (x86-64 numbers).
const ignored = [
  0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 28, 29, 35, 41, 42, 44, 45,
  47, 56, 57, 61, 63, 64, 66, 72, 73, 79, 89, 98, 101, 115, 131, 134, 135, 139, 158, 172, 186, 202, 204, 218,
  228, 230, 231, 232, 233, 234, 247, 257, 262, 270, 271, 273, 280, 281, 286, 288, 290, 291, 293,
];
const calls = b.get_table<number, number>("syscall");
calls.set(59, execFn);
for (const opcode of [222, 223, 224, 225, 226]) calls.set(opcode, timerFn);
for (const opcode of ignored) calls.set(opcode, ignoreFn);
b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "hello" });
const signal = stopSignal({ seconds: values.seconds });

let lines = 0;
const printing = b.traceLines().subscribe(({ task, pid, msg }) => {
  lines++;
  console.log(`${`${task}-${pid}`.padEnd(10)} ${msg}`);
});

await aborted(signal);
printing.unsubscribe();
console.log(`total: ${lines} lines, ${[...calls.items()].length} slots filled`);
