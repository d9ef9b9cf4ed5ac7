import { describe, expect, test } from "vitest";
import { CompileError } from "../../../framework/core/errors.ts";
import { readObject } from "../../../framework/object/read-object.ts";
import { compileText, lowerText } from "./lowering.ts";

/** The first error that compiling a text gives. */
function firstError(text: string): { line: number; column: number; message: string } | undefined {
  try {
    compileText(lowerText(text));
    return undefined;
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const { line, column, message } = error.diagnostics[0]!;
    return { line, column, message };
  }
}

const FUNCTION = "int f(void *ctx) { return 0; }";

describe("types that a table cannot have are refused at its macro", () => {
  test.each([
    ["a key without bytes", "BPF_HASH(t, struct {});", /keys of table "t" have no bytes/],
    ["a value without bytes", "BPF_HASH(t, u32, struct {});", /values of table "t" have no bytes/],
    ["a key that is never defined", "BPF_HASH(t, struct nowhere);", /incomplete type.*struct nowhere/],
    ["a value that is never defined", "BPF_ARRAY(t, struct nowhere, 4);", /incomplete type.*struct nowhere/],
    ["a queue's value without bytes", "BPF_QUEUE(t, struct {}, 4);", /values of table "t" have no bytes/],
    ["a histogram of u32", 'BPF_TABLE("histogram", int, u32, t, 64);', /values of a histogram.*u64/],
    ["a histogram of a struct", 'BPF_TABLE("histogram", int, struct { u64 n; }, t, 64);', /are u64/],
  ])("%s", (_, declaration, words) => {
    const error = firstError(`int before;\n  ${declaration}\n${FUNCTION}`);
    expect(error).toMatchObject({ line: 2, column: 3 });
    expect(error?.message).toMatch(words);
  });

  test("a type's name that C does not know yet", () => {
    const error = firstError(`BPF_HASH(t, later_t);\ntypedef struct { u32 a; } later_t;\n${FUNCTION}`);
    expect(error).toMatchObject({ line: 1, column: 13 });
  });

  test("a size that is no constant", () => {
    expect(firstError(`int n;\nBPF_HASH(t, u32, u64, n);\n${FUNCTION}`)).toMatchObject({ line: 2 });
  });

  test("increment on values that are no numbers", () => {
    const text = `BPF_HASH(t, u32, struct { u64 a, b; });\nint f(void *ctx) {\n  t.increment(1);\n  return 0;\n}`;
    const error = firstError(text);
    expect(error).toMatchObject({ line: 3 });
    expect(error?.message).toContain("increment adds to numbers");
  });
});

describe("sizes and kinds as the compiler sees them", () => {
  const maps = (text: string) => readObject(compileText(lowerText(`${text}\n${FUNCTION}`))).maps;

  test("any constant expression is a size", () => {
    const text = `enum { FEW = 3 };
      BPF_HASH(a, u32, u64, FEW * 2 + 1); BPF_HASH(b, u32, u64, sizeof(u64) << 3); BPF_STACK_TRACE(c, 1000);`;
    expect(maps(text).map(({ maxEntries }) => maxEntries)).toEqual([7, 64, 1024]);
  });

  test("a histogram by int is an array, by anything else a hash", () => {
    const text = `typedef int number;
      BPF_HISTOGRAM(a); BPF_HISTOGRAM(b, s32); BPF_HISTOGRAM(c, number); BPF_HISTOGRAM(d, u32);
      BPF_HISTOGRAM(e, u64); BPF_HISTOGRAM(f_, struct { int n; });`;
    expect(maps(text).map(({ kind }) => kind)).toEqual(["array", "array", "array", "hash", "hash", "hash"]);
  });

  test("a prefix tree is never allocated in advance, whatever its flags say", () => {
    const text = `BPF_LPM_TRIE(a); BPF_TABLE("lpm_trie", u64, u64, b, 4); BPF_F_TABLE("lpm_trie", u64, u64, c, 4, 0);`;
    expect(maps(text).map(({ flags }) => flags)).toEqual([1, 1, 1]);
  });

  test("what a table of tables holds is like the named table", () => {
    const [outer] = maps(
      'BPF_ARRAY_OF_MAPS(outer, "inner", 4); BPF_PERCPU_HASH(inner, u32, struct { u64 a[3]; }, 9);',
    );
    expect(outer).toMatchObject({ kind: "array_of_maps", keySize: 4, valueSize: 4, maxEntries: 4 });
    expect(outer?.inner).toMatchObject({ kind: "percpu_hash", keySize: 4, valueSize: 24, maxEntries: 9 });
  });

  test("libbpf's pinning by name is a path in the usual place", () => {
    const text = `struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[4]; int (*pinning)[1]; } t
      __attribute__((section(".maps")));`;
    expect(maps(text)).toMatchObject([{ name: "t", pin: "/sys/fs/bpf/t" }]);
  });
});
