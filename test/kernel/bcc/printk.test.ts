import { beforeEach, describe, expect, test } from "vitest";
import { isAtLeast } from "../../../framework/core/version.ts";
import type { BPF, TraceLine } from "../../../framework/index.ts";
import { kernelVersion } from "../../../framework/sys/proc.ts";
import { collect, eventually, marker, run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** The line that a function prints, found by its mark. Another reader of the pipe may take a line: then it prints again. */
async function printed(b: BPF, mark: string, ...args: readonly bigint[]): Promise<TraceLine> {
  using lines = collect(b.traceLines());
  return await eventually("the printed line", () => {
    const line = lines.items.find(({ msg }) => msg.includes(mark));
    if (line === undefined) run(b, "f", ...args);
    return line;
  });
}

describe("bpf_trace_printk", () => {
  beforeEach((context) => needsKernel(context));

  test.each([
    ["no value", "", "", []],
    ["one value", " %d", ", (int)ctx->args[0]", [-1n]],
    ["two values", " %d %u", ", (int)ctx->args[0], (u32)ctx->args[1]", [-1n, 2n]],
    [
      "three values",
      " %d %u %llx",
      ", (int)ctx->args[0], (u32)ctx->args[1], ctx->args[2]",
      [-1n, 2n, 2n ** 40n],
    ],
  ])("prints %s", async (_, format, values, args) => {
    const mark = marker();
    using b = open(`int f(${CTX}) { bpf_trace_printk("${mark}${format}"${values}); return 0; }`);
    const expected = ["-1", "2", "10000000000"].slice(0, args.length);
    const { msg, pid } = await printed(b, mark, ...args);
    expect(msg).toBe([mark, ...expected].join(" "));
    expect(pid).toBe(process.pid);
  });

  test("a line break at the end of the format makes no line of its own", async () => {
    const mark = marker();
    using b = open(`int f(${CTX}) { bpf_trace_printk("${mark} end\\n"); return 0; }`);
    expect((await printed(b, mark)).msg).toBe(`${mark} end`);
  });

  test.each([4, 7, 12])("prints %d values from Linux 5.16 on", async (count) => {
    const mark = marker();
    const values = Array.from({ length: count }, (_, i) => `, ctx->args[${i % 3}] + ${i}`).join("");
    const text = `int f(${CTX}) { bpf_trace_printk("${mark}${" %llu".repeat(count)}"${values}); return 0; }`;
    if (!isAtLeast(kernelVersion(), "5.16")) {
      expect(() => open(text).load_func("f", 17)).toThrow();
      return;
    }
    using b = open(text);
    const { msg } = await printed(b, mark, 10n, 20n, 30n);
    const expected = Array.from({ length: count }, (_, i) => [10, 20, 30][i % 3]! + i);
    expect(msg).toBe([mark, ...expected].join(" "));
  });

  test("prints text from memory, and bpf_printk is the same", async () => {
    const mark = marker();
    using b = open(`int f(${CTX}) {
      char comm[16];
      bpf_get_current_comm(&comm, sizeof(comm));
      bpf_printk("${mark} <%s>", comm);
      return 0; }`);
    const { msg, task } = await printed(b, mark);
    expect(msg).toBe(`${mark} <${task}>`);
  });

  test("a format in an array, in a macro and in pieces; values from tables", async () => {
    const mark = marker();
    using b = open(`#define LOG(text, ...) bpf_trace_printk("${mark} " text, ##__VA_ARGS__)
      BPF_HASH(t, u32, u64);
      int f(${CTX}) {
        char format[] = "${mark} array %d";
        u32 key = 7;
        u64 zero = 0;
        t.increment(key);
        bpf_trace_printk(format, 5);
        LOG("map " "%llu %llu", *t.lookup_or_init(&key, &zero), t.lookup(&key) ? 1ULL : 2ULL);
        LOG("%s and %s", "one", "two");
        return 0; }`);
    using lines = collect(b.traceLines());
    const texts = await eventually("all three lines", () => {
      const found = lines.items.map(({ msg }) => msg).filter((msg) => msg.includes(mark));
      if (found.some((msg) => msg.endsWith("one and two")) && found.length >= 3) return found;
      run(b, "f");
      return undefined;
    });
    expect(texts).toContain(`${mark} array 5`);
    expect(texts.some((text) => /map \d+ 1$/.test(text))).toBe(true);
  });

  test("a network address as the kernel prints it", async () => {
    const mark = marker();
    using b = open(`int f(${CTX}) {
      u32 address = htonl(0x0a010203);
      bpf_trace_printk("${mark} %pI4 %%", &address);
      return 0; }`);
    expect((await printed(b, mark)).msg).toBe(`${mark} 10.1.2.3 %`);
  });
});
