// The struct of hello_buffer.ts through a ring buffer, as a stream of objects.
//
// rxbpf run examples/hello_ring_buffer.ts [--seconds N]
//
//   4131 0 sh Hello World
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const program = `
BPF_RINGBUF_OUTPUT(output, 8);

struct data_t {
    int pid;
    int uid;
    char command[16];
    char message[12];
};

int hello(void *ctx) {
    struct data_t *data = output.ringbuf_reserve(sizeof(struct data_t));
    if (!data) {
        return 0;
    }
    char message[12] = "Hello World";
    data->pid = bpf_get_current_pid_tgid() >> 32;
    data->uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    bpf_get_current_comm(&data->command, sizeof(data->command));
    __builtin_memcpy(&data->message, message, sizeof(data->message));
    output.ringbuf_submit(data, 0);
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
const output = b.get_table<never, Data>("output");
const printing = output.events().subscribe(({ pid, uid, command, message }) => {
  events++;
  console.log(`${pid} ${uid} ${command} ${message}`);
});

await aborted(signal);
printing.unsubscribe();
console.log(`total: ${events} events, ${output.lostTotal} lost`);
