import { closeSync, openSync, readSync } from "node:fs";
import { afterAll, beforeEach, expect, test } from "vitest";
import { ClosedError, USDT } from "../../../framework/index.ts";
import { expectReleased, holdings } from "../../support/leaks.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

beforeEach((context) => needsKernel(context, "uprobe"));

const COUNT = `
  BPF_ARRAY(calls, u64, 4);
  int count(struct pt_regs *ctx) { calls.atomic_increment(0); return 0; }
  int other(struct pt_regs *ctx) { calls.atomic_increment(1); return 0; }
  int result(struct pt_regs *ctx) { calls.atomic_increment(2); return 0; }`;

test("closing leaves no descriptor, program or link behind, and the counter of a probe at zero", async () => {
  const probes = workshop.make("probes", { source: "probes.c" });
  using target = new Target(probes);
  const usdt = new USDT({ path: probes });
  usdt.enable_probe("app:both", "count");
  usdt.enable_probe("app:counted", "other");
  const { semaphore } = usdt.enumerate_probes()[1]!;
  const counter = (): number => {
    const memory = openSync(`/proc/${target.pid}/mem`, "r");
    const bytes = Buffer.alloc(2);
    readSync(memory, bytes, 0, 2, semaphore);
    closeSync(memory);
    return bytes.readUInt16LE();
  };
  await target.run("t");
  // What is opened once per process and stays: the kernel's types and the like.
  open(COUNT).close();
  const before = holdings();
  const b = open(COUNT, { usdt_contexts: [usdt] });
  b.attach_uprobe({ name: probes, sym: "twice", fn_name: "count" });
  b.attach_uretprobe({ name: probes, sym_re: "twice|sum_of", fn_name: "result" });
  await target.run("tsbc");
  expect(counter()).toBeGreaterThan(0);
  const during = holdings();
  expect(during.programs.length).toBeGreaterThanOrEqual(3);
  b.close();
  await expectReleased(before, during);
  expect(counter()).toBe(0);
  failure(ClosedError, () => b.attach_uprobe({ name: probes, sym: "twice", fn_name: "count" }));
});
