// The first program: a kprobe on execve that prints a line for every program started. Follows BCC's
// examples/hello_world.py. Starts a few commands of its own, so that there is something to see, also without privileges.
//
// npm start                 about five seconds, then a summary
// npm start -- --follow     until Ctrl-C
//
//            true-4131    [001] ...21   2047.120931: Hello World!
//   8 events seen, runtime kernel
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal, UsageError } from "rxbpf";

const program = `
int hello(void *ctx) {
    bpf_trace_printk("Hello World!");
    return 0;
}
`;

const { values } = parseArgs({
  options: { follow: { type: "boolean", default: false }, seconds: { type: "string", default: "5" } },
});
const b = new BPF({ text: program });
b.attach_kprobe({ event: b.get_syscall_fnname("execve"), fn_name: "hello" });
const signal = stopSignal({ seconds: values.follow ? undefined : values.seconds });

let events = 0;
b.traceLines().subscribe(({ task, pid, cpu, flags, ts, msg }) => {
  events++;
  const when = ts.toFixed(6).padStart(13);
  console.log(
    `${task.padStart(16)}-${String(pid).padEnd(7)} [${String(cpu).padStart(3, "0")}] ${flags} ${when}: ${msg}`,
  );
});

function start(command: string): void {
  try {
    b.spawn(command, [], { stdio: "ignore", env: environment });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.log(`no ${command} here`);
  }
}

const environment = { PATH: "/usr/bin:/bin" };
const commands = ["true", "uname", "date", "id", "pwd", "ls", "whoami", "hostname"];
const starter = setInterval(() => {
  const command = commands.shift();
  if (command === undefined) clearInterval(starter);
  else start(command);
}, 500);

await aborted(signal);
clearInterval(starter);
b.close();
console.log(`${events} events seen, runtime ${b.runtime}`);
