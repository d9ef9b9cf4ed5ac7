import { readFileSync, readlinkSync } from "node:fs";
import { inspect, isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, type TestContext, test, vi } from "vitest";
import { BPF, type FunctionInput } from "../../../framework/index.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

/**
 * The same object on the kernel and in the machine: nobody wrote down what comes out, the kernel says it. Programs take
 * what they work on from `input` and give what they made in `output`, and r0.
 */
const SOURCE = `
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";

struct input { __u8 text[64]; __u32 length; __u32 size; __u64 flags; __u64 values[4]; };
struct output { __u64 number; __u8 text[64]; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct input); } input SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct output); } output SEC(".maps");
#define BEGIN \\
  int zero = 0; \\
  struct input *in = bpf_map_lookup_elem(&input, &zero); \\
  struct output *out = bpf_map_lookup_elem(&output, &zero); \\
  if (!in || !out) return -1000;

SEC("raw_tp/x") int toLong(void *ctx) {
  BEGIN
  __u32 length = in->length & 63;
  if (length == 0) return -1;
  return bpf_strtol((char *)in->text, length, in->flags, (long *)&out->number);
}
SEC("raw_tp/x") int toUnsigned(void *ctx) {
  BEGIN
  __u32 length = in->length & 63;
  if (length == 0) return -1;
  return bpf_strtoul((char *)in->text, length, in->flags, (unsigned long *)&out->number);
}
static const char other[] = "lake\\xc3 12";
SEC("raw_tp/x") int compare(void *ctx) {
  BEGIN
  __u32 length = in->length & 63;
  if (length == 0) return -1;
  int result = bpf_strncmp((char *)in->text, length, other);
  return result < 0 ? -1 : result > 0;
}

#define PRINT(NAME, FORMAT, COUNT) \\
  SEC("raw_tp/x") int NAME(void *ctx) { \\
    BEGIN \\
    static const char format[] = FORMAT; \\
    return bpf_snprintf((char *)out->text, in->size & 63, format, COUNT == 0 ? 0 : in->values, COUNT * 8); \\
  } \\
  SEC("raw_tp/x") int trace_##NAME(void *ctx) { \\
    BEGIN \\
    static const char format[] = FORMAT; \\
    return bpf_trace_vprintk(format, sizeof(format), COUNT == 0 ? 0 : in->values, COUNT * 8); \\
  }
PRINT(nothing, "no values, 100%%", 0)
PRINT(integers, "%d %i %u|%x", 4)
PRINT(signs, "%+d % d %-6d| %06d", 4)
PRINT(longs, "%ld %lld %lu %llx", 4)
PRINT(hexes, "%04x %lX %08x %016llx", 4)
PRINT(characters, "[%c%c] [%3c%-3c]", 4)
PRINT(pointers, "%px [%20px]", 2)
PRINT(rooms, "[%20d][%-20lx]", 2)
PRINT(wide, "[%3d][%1u][%02x]", 3)
SEC("raw_tp/x") int strings(void *ctx) {
  BEGIN
  static const char format[] = "%s|%8s|%-8s|";
  __u64 text = (__u64)in->text;
  __u64 values[] = { text, text, text };
  return bpf_snprintf((char *)out->text, in->size & 63, format, values, sizeof(values));
}
SEC("raw_tp/x") int addresses(void *ctx) {
  BEGIN
  static const char format[] = "%pi4 %pI4 %pI6";
  __u64 values[] = { (__u64)in->values, (__u64)in->values, (__u64)in->values };
  return bpf_snprintf((char *)out->text, 64, format, values, sizeof(values));
}

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int); __type(value, int); } few SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 5); __type(key, int); __type(value, int); } row SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 3); __type(key, int); __type(value, int); } each SEC(".maps");
struct walk { int sum; int stop; };
static int add(void *map, int *key, int *value, struct walk *walk) {
  walk->sum += 100 * *key + *value;
  return *key == walk->stop;
}
#define WALK(NAME, MAP, COUNT) \\
  SEC("raw_tp/x") int NAME(void *ctx) { \\
    BEGIN \\
    struct walk walk = { .stop = in->size }; \\
    _Pragma("unroll") for (int i = 0; i < COUNT; i++) bpf_map_update_elem(&MAP, &i, &i, BPF_ANY); \\
    long called = bpf_for_each_map_elem(&MAP, add, &walk, 0); \\
    out->number = walk.sum; \\
    return called; \\
  }
WALK(walkHash, few, 6)
WALK(walkArray, row, 5)
WALK(walkPerCpu, each, 3)
static __always_inline void fill(void) {
  for (int i = 0, key = 0; i < 6; key = ++i) bpf_map_update_elem(&few, &key, &key, BPF_ANY);
}
static int forget(void *map, int *key, int *value, struct walk *walk) {
  walk->sum++;
  bpf_map_delete_elem(map, key);
  return 0;
}
SEC("raw_tp/x") int walkAndDelete(void *ctx) {
  BEGIN
  struct walk walk = {};
  fill();
  long called = bpf_for_each_map_elem(&few, forget, &walk, 0);
  int key = 3;
  return called * 100 + walk.sum * 10 + (bpf_map_lookup_elem(&few, &key) != 0);
}
SEC("raw_tp/x") int walkWithFlags(void *ctx) {
  struct walk walk = {};
  return bpf_for_each_map_elem(&row, add, &walk, 1);
}
static int step(__u32 index, struct walk *walk) {
  walk->sum += index;
  return index == walk->stop;
}
SEC("raw_tp/x") int loops(void *ctx) {
  BEGIN
  struct walk walk = { .stop = in->size };
  long done = bpf_loop(in->length, step, &walk, in->flags);
  out->number = walk.sum;
  return done;
}
static int inner(__u32 index, struct walk *walk) { walk->sum++; return 0; }
static int outer(__u32 index, struct walk *walk) { bpf_loop(index, inner, walk, 0); return 0; }
SEC("raw_tp/x") int nestedLoops(void *ctx) {
  struct walk walk = {};
  return bpf_loop(10, outer, &walk, 0) * 100 + walk.sum;
}

struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, __u64); } kept SEC(".maps");
SEC("raw_tp/x") int storage(void *ctx) {
  BEGIN
  struct task_struct *task = bpf_get_current_task_btf();
  __u64 first = 41, missing, *value;
  int gone = bpf_task_storage_delete(&kept, task) == -ENOENT_;
  missing = bpf_task_storage_get(&kept, task, 0, 0) == 0;
  value = bpf_task_storage_get(&kept, task, &first, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!value) return -1;
  *value += 1;
  value = bpf_task_storage_get(&kept, task, &first, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!value) return -2;
  out->number = *value;
  int wrong = bpf_task_storage_get(&kept, task, 0, 4) == 0;
  int deleted = bpf_task_storage_delete(&kept, task);
  return 1000 * deleted + 100 * gone + 10 * missing + wrong;
}

SEC("raw_tp/x") int taskByTypes(void *ctx) {
  BEGIN
  struct task_struct *task = bpf_get_current_task_btf();
  __u64 both = bpf_get_current_pid_tgid(), ids = bpf_get_current_uid_gid();
  char comm[16];
  bpf_get_current_comm(comm, sizeof(comm));
  int same = 0;
  for (int i = 0; i < 16 && task->comm[i] == comm[i]; i++) same++;
  bpf_probe_read_kernel_str(out->text, 16, task->comm);
  out->number = task->real_parent->tgid;
  return (task->pid == (__u32)both) + 10 * (task->tgid == both >> 32) + 100 * same
    + 10000 * (task->cred->uid.val == (__u32)ids) + 100000 * (task->cred->gid.val == ids >> 32)
    + 1000000 * (task->group_leader->pid == task->tgid) + 10000000 * (task->real_parent == task->parent);
}
SEC("raw_tp/x") int taskByReads(void *ctx) {
  BEGIN
  struct task_struct *task = (void *)bpf_get_current_task(), *parent;
  __u32 pid = 0, tgid = 0;
  bpf_probe_read_kernel(&pid, sizeof(pid), &task->pid);
  bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
  bpf_probe_read_kernel(&tgid, sizeof(tgid), &parent->tgid);
  bpf_probe_read_kernel_str(out->text, 16, &task->comm);
  out->number = tgid;
  return pid == (__u32)bpf_get_current_pid_tgid();
}

struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(max_entries, 16384); __uint(key_size, 4); __uint(value_size, 8 * 8); } stacks SEC(".maps");
SEC("raw_tp/x") int stackId(void *ctx) {
  BEGIN
  long number = bpf_get_stackid(ctx, &stacks, in->flags);
  // Among so many places, two stacks rarely want the same one, which is an error.
  return number < 0 ? number : number < 16384;
}
SEC("raw_tp/x") int stack(void *ctx) {
  BEGIN
  long length = bpf_get_stack(ctx, out->text, in->size & 63, in->flags);
  return length;
}

struct slot { struct bpf_timer timer; __u64 rings; __u64 key; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 2); __type(key, int); __type(value, struct slot); } slots SEC(".maps");
static int ring(void *map, int *key, struct slot *slot) {
  slot->rings++;
  slot->key = *key;
  return 0;
}
#define SLOT(KEY) \\
  int key = KEY; \\
  struct slot empty = {}, *slot; \\
  bpf_map_update_elem(&slots, &key, &empty, BPF_NOEXIST); \\
  slot = bpf_map_lookup_elem(&slots, &key); \\
  if (!slot) return -1000;
SEC("tc") int timerWithoutInit(struct __sk_buff *skb) {
  SLOT(1)
  return bpf_timer_start(&slot->timer, 0, 0) * 10000 + bpf_timer_cancel(&slot->timer) * 100 + bpf_timer_set_callback(&slot->timer, ring);
}
SEC("tc") int timerOfOtherClock(struct __sk_buff *skb) {
  SLOT(1)
  return bpf_timer_init(&slot->timer, &slots, 0) * 100 + bpf_timer_init(&slot->timer, &slots, 1 + 16);
}
SEC("tc") int timerTwice(struct __sk_buff *skb) {
  SLOT(1)
  return bpf_timer_init(&slot->timer, &slots, 1) * 100 + bpf_timer_init(&slot->timer, &slots, 1);
}
SEC("tc") int timerWithoutFunction(struct __sk_buff *skb) {
  SLOT(1)
  return bpf_timer_start(&slot->timer, 0, 0);
}
SEC("tc") int timerStopped(struct __sk_buff *skb) {
  SLOT(1)
  int set = bpf_timer_set_callback(&slot->timer, ring);
  int wrong = bpf_timer_start(&slot->timer, 1000000000, 4);
  int started = bpf_timer_start(&slot->timer, 1000000000000, 0);
  int stopped = bpf_timer_cancel(&slot->timer), again = bpf_timer_cancel(&slot->timer);
  return set * 1000000 + wrong * 10000 + started * 100 + stopped * 10 + again;
}
SEC("tc") int timerStarted(struct __sk_buff *skb) {
  SLOT(2)
  if (bpf_timer_init(&slot->timer, &slots, 1)) return -1;
  if (bpf_timer_set_callback(&slot->timer, ring)) return -2;
  return bpf_timer_start(&slot->timer, 1000000, 0);
}
`.replace("-ENOENT_", "-2");

/** What a program is given; zeros for what is left out. */
interface Input {
  readonly text?: Uint8Array | string;
  readonly length?: number;
  readonly size?: number;
  readonly flags?: bigint;
  readonly values?: readonly bigint[];
}

/** Return addresses, enough for every question that the programs ask. */
const kernelStack = Array.from({ length: 6 }, (_, index) => 0xffff_ffff_8100_0000n + BigInt(index) * 64n);
const userStack = kernelStack.map((address) => BigInt.asUintN(40, address));

/** The thread that test runs of the kernel happen in. */
function thisThread(): { pid: number; tgid: number; comm: string; parent: number } {
  const [tgid, , pid] = readlinkSync("/proc/thread-self").split("/").map(Number);
  const comm = readFileSync("/proc/thread-self/comm", "utf8").trimEnd();
  return { pid: pid!, tgid: tgid!, comm, parent: process.ppid };
}

let kernel: BPF | undefined;
let machine: BPF;

beforeAll(() => {
  const common = { text: SOURCE, autoAttach: false } as const;
  machine = new BPF({ ...common, runtime: "machine", machine: { task: thisThread() } });
  if (runtimes[0]!.reason === undefined) kernel = new BPF({ ...common, runtime: "kernel" });
}, 60_000);

afterAll(() => {
  kernel?.close();
  machine.close();
});

/** What a program made. */
interface Made {
  readonly r0: bigint;
  readonly number: bigint;
  readonly text: string;
}

/** What a function makes of an input: r0 and the output's bytes. */
function made(b: BPF, func: string, input: Input, more: FunctionInput = {}): Made {
  const { text = "", length = 0, size = 0, flags = 0n, values = [] } = input;
  const bytes = new Uint8Array(64);
  bytes.set(typeof text === "string" ? new TextEncoder().encode(text) : text);
  const given = { text: bytes, length, size, flags, values: [...values, 0n, 0n, 0n, 0n].slice(0, 4) };
  b.get_table<number, object>("input").set(0, given);
  const output = b.get_table<number, { number: bigint; text: Uint8Array }>("output");
  output.set(0, { number: 77n, text: new Uint8Array(64).fill(0xee) });
  const r0 = b.fire(func, more);
  const { number, text: left } = output.get(0)!;
  return { r0, number, text: Buffer.from(left).toString("latin1") };
}

/** Holds the machine against the kernel; all differences at once, each with its input. */
function compare(context: TestContext, func: string, ...inputs: readonly Input[]): void {
  needsRuntime(context, runtimes[0]!.reason);
  const differences = inputs.flatMap((input) => {
    const [wanted, here] = [
      made(kernel!, func, input),
      made(machine, func, input, { kernelStack, userStack }),
    ];
    return isDeepStrictEqual(here, wanted) ? [] : [`${shown(input)}: ${shown(here)}, not ${shown(wanted)}`];
  });
  expect(differences, differences.join("\n")).toEqual([]);
}

function shown(value: Input | Made): string {
  return inspect(value, { breakLength: Number.POSITIVE_INFINITY });
}

const NUMBERS = [
  "",
  "0",
  "00",
  "7",
  "42",
  "-42",
  "+42",
  "--1",
  "- 1",
  " 12",
  "\t\n 12",
  "12 ",
  "12abc",
  "abc",
  "x",
  "-",
  "0x",
  "0x1f",
  "0X1F",
  "0xg",
  "-0x10",
  "010",
  "08",
  "0b11",
  "ff",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775808",
  "-9223372036854775809",
  "18446744073709551615",
  "18446744073709551616",
  "99999999999999999999999999",
  "0x8000000000000000",
  "0xffffffffffffffff",
  "0x10000000000000000",
  "1\u00002",
  "\u00001",
  "\u00a012",
  "\u000b\f\r5",
  "0 1",
  "1-2",
  "1_000",
  "0000000000000000000000000000000000000012",
];

describe("the machine gives what the kernel gives", () => {
  test.for(["toLong", "toUnsigned"])("for odd texts in any base: %s", (func, context) => {
    const bases = [0n, 8n, 10n, 16n];
    const whole = NUMBERS.flatMap((text) =>
      bases.map((flags) => ({ text, length: Buffer.byteLength(text), flags })),
    );
    const parts = ["12345", "0x1f", "-77"].flatMap((text) =>
      [0, 1, 2, 3, 20, 63].map((length) => ({ text, length, flags: 0n })),
    );
    const wrong = [1n, 2n, 7n, 17n, 32n, 0x100n, 1n << 40n].map((flags) => ({
      text: "12",
      length: 2,
      flags,
    }));
    compare(context, func, ...whole, ...parts, ...wrong);
  });

  test("for texts that are compared", (context) => {
    const texts = [
      "",
      "lake",
      "lak",
      "lakf",
      "lake\xc3 12",
      "lake\xc3 13",
      "zoo",
      "LAKE",
      "\xff",
      "lake\u0000\xff",
    ];
    const inputs = texts.flatMap((text) =>
      [0, 1, 4, 5, 8, 9, 63].map((length) => ({ text: Buffer.from(text, "latin1"), length })),
    );
    compare(context, "compare", ...inputs);
  });

  const values = [
    [0n, 1n, 2n, 3n],
    [-1n, -1n, -1n, -1n],
    [65n, 66n, 67n, 68n],
    [0x1234_5678_9abc_def0n, 0xffff_ffff_0000_0001n, 0x8000_0000n, 0x7fff_ffffn],
    [-128n, -129n, 255n, 256n],
    [0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0xfedc_ba98n, 10n ** 18n],
  ].map((each) => each.map((value) => BigInt.asUintN(64, value)));
  const formats = "nothing integers signs longs hexes characters pointers rooms wide".split(" ");

  test.for(formats)("for a text made from a format: %s", (func, context) => {
    const inputs = values.flatMap((each) => [0, 1, 5, 20, 63].map((size) => ({ values: each, size })));
    compare(context, func, ...inputs);
  });

  test.for(formats)("for the length of a line that is printed: %s", (func, context) => {
    compare(context, `trace_${func}`, ...values.map((each) => ({ values: each })));
  });

  test("for texts and addresses within a format", (context) => {
    const texts = ["", "abc", "exactly8", "more than eight", "\u0001\u00ff"];
    compare(context, "strings", ...texts.flatMap((text) => [0, 1, 12, 63].map((size) => ({ text, size }))));
    compare(context, "addresses", ...values.map((each) => ({ values: each })));
  });

  test.for(["walkHash", "walkArray", "walkPerCpu"])("for walks over a table: %s", (func, context) => {
    // A hash's order is nobody's business: only a walk to its end, or one that ends with any entry that is the only one.
    const stops = func === "walkHash" ? [99] : [0, 1, 2, 4, 99];
    compare(context, func, ...stops.map((size) => ({ size })));
  });

  test("for walks that delete what they see, or have flags", (context) => {
    compare(context, "walkAndDelete", {});
    compare(context, "walkWithFlags", {});
  });

  test("for loops", (context) => {
    const lengths = [0, 1, 5, 1000, (1 << 23) + 1, 0xffff_ffff];
    const stopped = [0, 3, 999].map((size) => ({ length: 1000, size }));
    const inputs = lengths.map((length) => ({ length, size: 5000 }));
    compare(context, "loops", ...inputs, ...stopped, { length: 3, flags: 1n });
    compare(context, "nestedLoops", {});
  });

  test("for a task's storage", (context) => {
    compare(context, "storage", {}, {});
  });

  test("for a task's structure, by its types and by reads", (context) => {
    compare(context, "taskByTypes", {});
    compare(context, "taskByReads", {});
  });

  test("for timers: what is wrong with them, and whether they ring", async (context) => {
    needsRuntime(context, runtimes[0]!.reason);
    const packet = { packet: new Uint8Array(64) };
    const steps = [
      "timerWithoutInit",
      "timerOfOtherClock",
      "timerTwice",
      "timerWithoutFunction",
      "timerStopped",
      "timerStarted",
    ];
    const answers = (b: BPF) => steps.map((step) => `${step} ${b.fire(step, packet)}`);
    expect(answers(machine).join("\n")).toBe(answers(kernel!).join("\n"));
    for (const b of [kernel!, machine]) {
      const slots = b.get_table<number, object>("slots");
      await vi.waitFor(() => expect(slots.get(2)).toMatchObject({ rings: 1n, key: 2n }), 5000);
    }
  });

  test("for a stack's number, with right flags and wrong ones", (context) => {
    const flags = [0n, 0x100n, 0x200n, 0x400n, 0x600n, 2n, 255n, 0x1ffn, 0x800n, 0x1000n, 1n << 40n];
    compare(context, "stackId", ...flags.map((each) => ({ flags: each })));
  });

  test("for a stack's addresses: how many bytes, and what is wrong", (context) => {
    const sizes = [0, 8, 12, 24];
    const flags = [0n, 1n, 0x100n, 255n, 0x1ffn, 0x200n, 0x400n, 0x1000n];
    const inputs = sizes.flatMap((size) => flags.map((each) => ({ size, flags: each })));
    needsRuntime(context, runtimes[0]!.reason);
    for (const input of inputs) {
      const { r0: wanted } = made(kernel!, "stack", input);
      const { r0 } = made(machine, "stack", input, { kernelStack, userStack });
      expect(r0, `stack of ${input.size}, ${input.flags}`).toBe(wanted);
    }
  });
});
