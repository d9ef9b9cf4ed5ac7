// uprobe.js PROGRAM probed|plain: for each line of input, lets a program call a function many times, which has a probe
// that counts, or none.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { BPF } from "rxbpf";
import { COUNT_CALLS, LOOP, LOOPS } from "../programs.ts";
import { answerLines } from "./support.ts";

const [program, way] = process.argv.slice(2) as [string, "probed" | "plain"];
const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const b = new BPF({ text: COUNT_CALLS });
if (way === "probed") b.attach_uprobe({ name: program, sym: "twice", fn_name: "count" });
const calls = b.get_table<number, bigint>("calls");

await answerLines(async () => {
  calls.clear();
  const begin = performance.now();
  child.stdin.write(LOOP);
  await once(child.stdout, "data");
  const seconds = (performance.now() - begin) / 1000;
  const counted = Number(calls.get(0));
  return { seconds, count: way === "probed" ? counted : LOOPS, total: counted };
});
b.close();
child.stdin.end();
