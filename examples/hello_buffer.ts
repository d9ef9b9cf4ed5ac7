// Sends a struct for every execve through a perf buffer. Follows BCC's examples/tracing/hello_perf_output.py.
//
// rxbpf run examples/hello_buffer.ts [--seconds N]
//
//   4131 0 sh Hello World
import { parseArgs } from "node:util";
import { BPF, stopSignal } from "rxbpf";

const program = `
BPF_PERF_OUTPUT(output);

struct data_t {
    int pid;
    int uid;
    char command[16];
    char message[12];
};

int hello(void *ctx) {
    struct data_t data = {};
    char message[12] = "Hello World";

    data.pid = bpf_get_current_pid_tgid() >> 32;
    data.uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    bpf_get_current_comm(&data.command, sizeof(data.command));
    bpf_probe_read_kernel(&data.message, sizeof(data.message), message);
    output.perf_submit(ctx, &data, sizeof(data));
    return 0;
}
`;

interface Data {
  readonly pid: number;
  readonly uid: number;
  readonly command: string;
  readonly message: string;
}

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ text: program });
b.attach_kprobe({ event: b.get_syscall_fnname("execve"), fn_name: "hello" });
const signal = stopSignal({ seconds: values.seconds });

let events = 0;
const output = b.get_table<number, Data>("output");
output.open_perf_buffer((_cpu, data, _size) => {
  const { pid, uid, command, message } = output.event(data);
  events++;
  console.log(`${pid} ${uid} ${command} ${message}`);
});

while (!signal.aborted) await b.perf_buffer_poll({ signal });
console.log(`total: ${events} events`);
