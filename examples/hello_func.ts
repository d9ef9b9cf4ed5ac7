// A call from one BPF function to another that is not inlined, at the entry of every system call. Counts the lines by
// system call number and prints the most frequent.
//
// rxbpf run examples/hello_func.ts [--seconds N]
//
//   syscall 1: 311, syscall 257: 40
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ src_file: fileURLToPath(new URL("hello_func.c", import.meta.url)) });
b.attach_raw_tracepoint({ tp: "sys_enter", fn_name: "hello" });
const signal = stopSignal({ seconds: values.seconds });

const counts = new Map<string, number>();
const counting = b.traceLines().subscribe(({ msg }) => {
  const call = /^Syscall: (\d+)/.exec(msg)?.[1];
  if (call !== undefined) counts.set(call, (counts.get(call) ?? 0) + 1);
});
const show = () =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 8)
    .map(([call, count]) => `syscall ${call}: ${count}`)
    .join(", ");
const printing = setInterval(() => console.log(show()), 1000);

await aborted(signal);
clearInterval(printing);
counting.unsubscribe();
console.log(`total: ${[...counts.values()].reduce((sum, count) => sum + count, 0)} calls; ${show()}`);
