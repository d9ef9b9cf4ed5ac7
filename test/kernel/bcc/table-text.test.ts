import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { LayoutError } from "../../../framework/index.ts";
import { possibleCpus } from "../../../framework/sys/proc.ts";
import { BCC_PYTHON, withHeaders } from "../../support/bcc-headers.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const SOURCE = `
enum color { RED, GREEN = 7 };
struct in { u8 a; s16 b; };
struct key { u32 pid; char comm[8]; };
struct leaf {
  u8 small; u16 middle; s16 less; u32 large; s32 minus; u64 huge; s64 abyss;
  char text[8]; u8 bytes[8]; u32 words[3]; struct in in; struct in ins[2]; enum color color; u16 more[2][2];
};
struct anon { u32 a; struct { u32 b; u32 c; }; union { u64 x; u32 y; }; };
struct address { union { u32 v4; u8 v6[16]; } u; u16 port; };
struct packed { u8 a; u32 b; } __attribute__((packed));
BPF_HASH(all, struct key, struct leaf, 8);
BPF_HASH(anon, s32, struct anon, 8);
BPF_HASH(address, u64, struct address, 8);
BPF_HASH(packed, s16, struct packed, 8);
BPF_ARRAY(plain, s64, 8);
`;

/** Keys and values as their tables' types have them, one object for each table. */
const ENTRIES: Readonly<Record<string, readonly [key: unknown, leaf: unknown]>> = {
  all: [
    { pid: 4131, comm: "bash" },
    {
      small: 200,
      middle: 65535,
      less: -2,
      large: 0xfffffffe,
      minus: -2,
      huge: 2n ** 64n - 1n,
      abyss: -(2n ** 63n),
      text: "a text",
      bytes: Uint8Array.from([...Buffer.from("seven 7"), 0]),
      words: [1, 0, 0xdeadbeef],
      in: { a: 7, b: -1 },
      ins: [
        { a: 1, b: 2 },
        { a: 3, b: -4 },
      ],
      color: 7,
      more: [
        [1, 2],
        [3, 4],
      ],
    },
  ],
  anon: [-5, { a: 1, b: 2, c: 3, x: 2n ** 40n, y: undefined }],
  address: [
    7n,
    { u: { v4: undefined, v6: Uint8Array.from([...Buffer.from("0123456789abcde"), 0]) }, port: 443 },
  ],
  packed: [-3, { a: 255, b: 1 }],
  plain: [3, -9n],
};

/** Entries' bytes in hexadecimal, and the texts that BCC makes of them. */
const SCRIPT = `
import ctypes, json, sys
from bcc import BPF
asked = json.load(sys.stdin)
b = BPF(text=asked["text"])
answers = {}
for name, pieces in asked["entries"].items():
    table = b[name]
    objects = [table.Key(), table.Leaf()]
    for one, piece in zip(objects, pieces):
        ctypes.memmove(ctypes.byref(one), bytes.fromhex(piece), ctypes.sizeof(one))
    answers[name] = [table.key_sprintf(objects[0]).decode(), table.leaf_sprintf(objects[1]).decode()]
print(json.dumps(answers))
`;

function bytesOf(from: Uint8Array): string {
  return Buffer.from(from).toString("hex");
}

describe("keys and values as text", () => {
  beforeEach((context) => needsKernel(context));

  test("are BCC's", { timeout: 120_000 }, (context) => {
    const argv = existsSync(BCC_PYTHON) ? withHeaders([BCC_PYTHON, "-c", SCRIPT]) : undefined;
    if (argv === undefined) return context.skip("BCC and kernel headers for it are not installed");
    using b = open(SOURCE);
    const ours: Record<string, readonly string[]> = {};
    const entries: Record<string, readonly string[]> = {};
    for (const [name, [key, leaf]] of Object.entries(ENTRIES)) {
      const table = b.get_table<unknown, unknown>(name);
      ours[name] = [table.key_sprintf(key), table.leaf_sprintf(leaf)];
      table.set(key, leaf);
      table.readEntries((keyBytes, leafBytes) => {
        // An array has all its slots.
        if (table.kind !== "array" || keyBytes[0] === key)
          entries[name] = [bytesOf(keyBytes), bytesOf(leafBytes)];
      });
    }
    const [program, ...args] = argv;
    const asked = JSON.stringify({ text: SOURCE, entries });
    const run = spawnSync(program, args, { encoding: "utf8", input: asked });
    expect(JSON.parse(run.stdout.trim().split("\n").at(-1)!), run.stderr).toEqual(ours);
  });

  test.each(Object.keys(ENTRIES))("are read back: those of %s", (name) => {
    using b = open(SOURCE);
    const [key, leaf] = ENTRIES[name]!;
    const table = b.get_table<unknown, unknown>(name);
    const stored = { key: table.Key(key as object), leaf: table.Leaf(leaf as object) };
    expect(table.key_scanf(table.key_sprintf(key))).toEqual(stored.key);
    expect(table.leaf_scanf(table.leaf_sprintf(leaf))).toEqual(stored.leaf);
  });

  test("look as BCC's guide shows them", () => {
    using b = open(SOURCE);
    const all = b.get_table<object, object>("all");
    expect(all.key_sprintf({ pid: -2 >>> 0, comm: "text" })).toBe('{ 0xfffffffe "text" }');
    expect(b.get_table<number, bigint>("plain").leaf_sprintf(-9n)).toBe("0xfffffffffffffff7");
    expect(b.get_table("packed").leaf_scanf("{ 255\n 010 }")).toEqual({ a: 255, b: 8 });
  });

  test("have bit fields and pointers as numbers, and all CPUs' values", () => {
    using b = open(`
      struct bits { u32 low : 3; s32 high : 29; void *where; bool yes; s8 few[2]; };
      BPF_HASH(bits, u32, struct bits, 8); BPF_PERCPU_ARRAY(counts, u32, 1); BPF_QUEUE(waiting, struct bits, 8);`);
    const bits = b.get_table<number, object>("bits");
    const value = { low: 5, high: -1, where: 0xffff888000000000n, yes: true, few: [65, 0] };
    const text = '{ 0x5 0x1fffffff 0xffff888000000000 0x1 "A" }';
    expect(bits.leaf_sprintf(value)).toBe(text);
    expect(bits.leaf_scanf(text)).toEqual(value);
    expect(b.get_table<never, object>("waiting").leaf_scanf(text)).toEqual(value);
    const counts = b.get_table<number, number[]>("counts");
    const each = possibleCpus().map((_, cpu) => cpu + 10);
    const words = `[ ${each.map((count) => `0x${count.toString(16)}`).join(" ")} ]`;
    expect(counts.leaf_sprintf(each)).toBe(words);
    expect(counts.leaf_scanf(words)).toEqual(each);
  });

  test.each([
    ["{ 0x1 }", 'expected a text in quotes at character 7, and there is "}"'],
    ['{ 0x1 "text"', 'expected "}" at character 13, and the text ends'],
    ['{ 0x1 "text" } more', 'expected the end at character 16, and there is "more"'],
    ['{ 0x100000000 "text" }', "0x100000000 does not fit into 32 bits"],
    ['{ 1 "far too long" }', '"far too long" does not fit into 8 bytes'],
    ["", 'expected "{" at character 1, and the text ends'],
  ])("that are another type's are refused, with the place: %s", (text, reason) => {
    using b = open(SOURCE);
    const error = failure(LayoutError, () => b.get_table("all").key_scanf(text));
    expect(error.message).toBe(`key of "all": ${reason}`);
  });
});

describe("what a table says of itself", () => {
  beforeEach((context) => needsKernel(context));

  test("is its kind's number, its flags and its types, as in BCC", () => {
    using b = open(`struct key { u32 pid; char comm[8]; };
      BPF_F_TABLE("hash", struct key, u64, all, 8, 1);`);
    const all = b.get_table<{ pid: number; comm: string }, bigint>("all");
    expect([all.ttype, all.flags, all.max_entries]).toEqual([1, 1, 8]);
    expect(all.Key({ pid: 3 })).toEqual({ pid: 3, comm: "" });
    all.set(all.Key({ pid: 3 }), all.Leaf());
    expect(all.items()).toEqual([[{ pid: 3, comm: "" }, 0n]]);
    expect(failure(LayoutError, () => all.Key({ pid: -1 })).message).toContain("pid");
  });
});
