// Who sleeps: a line for every entry of the kernel function do_nanosleep. Needs a kernel with kprobes; says so where
// there are none.
//
// rxbpf run examples/nanosleep.ts [--seconds N]
//
//   PID 4131 sleeping...
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal, UnsupportedError } from "rxbpf";

const program = `
BPF_PERF_OUTPUT(sleepers);

int kprobe__do_nanosleep(void *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    sleepers.perf_submit(ctx, &pid, sizeof(pid));
    return 0;
}
`;

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

try {
  using b = new BPF({ text: program });
  const signal = stopSignal({ seconds: values.seconds });
  let events = 0;
  const printing = b
    .get_table<number, number>("sleepers")
    .events()
    .subscribe((pid) => {
      events++;
      console.log(`PID ${pid} sleeping...`);
    });
  await aborted(signal);
  printing.unsubscribe();
  console.log(`total: ${events} sleeps`);
} catch (error) {
  if (!(error instanceof UnsupportedError)) throw error;
  console.log(error.describe());
}
