// many.js PATTERN: for each line of input, attaches a function to all kernel functions that match, and detaches it.
import { BPF } from "rxbpf";
import { COUNT_CALLS } from "../programs.ts";
import { answerLines } from "./support.ts";

const [pattern = ""] = process.argv.slice(2);

await answerLines((line) => {
  const b = new BPF({ text: COUNT_CALLS });
  const begin = performance.now();
  b.attach_kprobe({ event_re: pattern, fn_name: "count" });
  const attached = performance.now();
  const count = b.num_open_kprobes();
  b.close();
  const end = line === "detach" ? performance.now() : attached;
  return { seconds: (end - (line === "detach" ? attached : begin)) / 1000, count, total: 0 };
});
