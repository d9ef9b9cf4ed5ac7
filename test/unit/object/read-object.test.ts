import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ObjectError } from "../../../framework/core/errors.ts";
import type { MapSpec, ObjectSpec, ProgramSpec } from "../../../framework/object/object-spec.ts";
import { readObject } from "../../../framework/object/read-object.ts";

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/objects/${name}.o`, import.meta.url));
const program = (object: ObjectSpec, name: string): ProgramSpec =>
  object.programs.find((item) => item.name === name)!;
const map = (object: ObjectSpec, name: string): MapSpec => object.maps.find((item) => item.name === name)!;

/** The instructions' opcode, source register and immediate. */
function instructions({ insns }: ProgramSpec) {
  const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength);
  return Array.from({ length: insns.length / 8 }, (_, i) => ({
    at: i,
    opcode: view.getUint8(i * 8),
    source: view.getUint8(i * 8 + 1) >> 4,
    imm: view.getInt32(i * 8 + 4, true),
  }));
}

/** Names of the functions laid out in a program, by their first instruction. */
function layout({ funcInfo, btf }: ProgramSpec): Map<number, string> {
  const words = new Uint32Array(funcInfo.slice().buffer);
  return new Map(
    Array.from({ length: words.length / 2 }, (_, i) => [words[i * 2]!, btf!.nameOf(words[i * 2 + 1]!)]),
  );
}

describe("programs", () => {
  const object = readObject(fixture("calls"));

  test("every global function outside .text is a program, several per section too", () => {
    expect(object.programs.map(({ name, section }) => [name, section])).toEqual([
      ["first", "socket"],
      ["third", "socket"],
      ["second", "tracepoint/syscalls/sys_enter_openat"],
      ["kprobe__do_nanosleep", ".bpf.fn.kprobe__do_nanosleep"],
      ["plain", ".bpf.fn.plain"],
      ["unknown_kind", "no/such/kind"],
    ]);
  });

  test("the section, or a BCC function's name, says what a program is", () => {
    expect(object.programs.map(({ kind }) => kind)).toEqual([
      "socket_filter",
      "socket_filter",
      "tracepoint",
      "kprobe",
      null,
      null,
    ]);
    expect(program(object, "second").target).toEqual({
      hook: "tracepoint",
      category: "syscalls",
      name: "sys_enter_openat",
    });
    expect(program(object, "kprobe__do_nanosleep").target).toMatchObject({
      hook: "kprobe",
      symbol: "do_nanosleep",
    });
    expect(program(object, "unknown_kind").target).toBeNull();
  });

  test("license and version come from their sections", () => {
    expect(program(object, "third")).toMatchObject({ license: "Dual MIT/GPL", kernelVersion: 0x50a00 });
    expect(object.license).toBe("Dual MIT/GPL");
  });

  test("functions called are appended once each, calls of calls too", () => {
    expect([...layout(program(object, "first")).values()]).toEqual([
      "first",
      "callback",
      "helper",
      "global_helper",
      "same_section",
    ]);
    expect([...layout(program(object, "second")).values()]).toEqual(["second", "helper"]);
    expect(layout(program(object, "third"))).toEqual(new Map([[0, "third"]]));
  });

  test("calls go to where the functions were laid out", () => {
    const spec = program(object, "first");
    const places = layout(spec);
    const calls = instructions(spec).filter(({ opcode, source }) => opcode === 0x85 && source === 1);
    expect(calls.map(({ at, imm }) => places.get(at + imm + 1))).toEqual([
      "helper",
      "global_helper",
      "same_section",
      "helper",
    ]);
  });

  test("the address of a function is loaded relative to the instruction", () => {
    const spec = program(object, "first");
    const loads = instructions(spec).filter(({ opcode, source }) => opcode === 0x18 && source === 4);
    expect(loads.map(({ at, imm }) => layout(spec).get(at + imm + 1))).toEqual(["callback"]);
  });

  test("helper calls stay as they are", () => {
    const helpers = instructions(program(object, "first")).filter(
      ({ opcode, source }) => opcode === 0x85 && source === 0,
    );
    expect(helpers.map(({ imm }) => imm)).toEqual([1, 181, 6, 6]);
  });

  test("map references name the map, and the byte of its value for global data", () => {
    const { mapReferences } = program(object, "second");
    expect(mapReferences).toEqual([
      { insn: 4, map: "counts", valueOffset: null },
      { insn: 13, map: ".rodata", valueOffset: 0 },
      { insn: 21, map: ".bss", valueOffset: 8 },
    ]);
  });

  test("string literals are referred to by their offset, and immediates are left for the runtime", () => {
    const spec = program(object, "first");
    const strings = spec.mapReferences.filter((reference) => reference.map === ".rodata.str1.1");
    const text = Buffer.from(map(object, ".rodata.str1.1").initial!).toString("latin1");
    expect(
      strings.map(({ valueOffset }) => text.slice(valueOffset!, text.indexOf("\0", valueOffset!))),
    ).toEqual(["hello %d\n", "callback %d"]);
    for (const { insn } of spec.mapReferences)
      expect(instructions(spec)[insn]).toMatchObject({ opcode: 0x18, imm: 0 });
  });

  test("line records rise from 0 and stay inside the program, each function's first instruction among them", () => {
    for (const spec of object.programs) {
      const words = new Uint32Array(spec.lineInfo.slice().buffer);
      const offsets = Array.from(words).filter((_, i) => i % 4 === 0);
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      expect(offsets.at(-1)).toBeLessThan(spec.insns.length / 8);
      expect(offsets).toEqual(expect.arrayContaining([...layout(spec).keys()]));
    }
  });

  test("line records lead to the source", () => {
    const spec = program(object, "third");
    const [, file, line, position] = new Uint32Array(spec.lineInfo.slice().buffer);
    expect(spec.btf!.string(file!)).toMatch(/calls\.c$/);
    expect(spec.btf!.string(line!)).toBe('SEC("socket") int third(void *ctx) { return 7; }');
    expect(position! & 1023).toBe(38);
  });
});

describe("maps", () => {
  const object = readObject(fixture("maps"));
  const shape = (name: string) => {
    const { kind, keySize, valueSize, maxEntries, flags } = map(object, name);
    return { kind, keySize, valueSize, maxEntries, flags };
  };

  test("a declaration gives kind, sizes and the types of key and value", () => {
    const counts = map(readObject(fixture("calls")), "counts");
    expect(counts).toMatchObject({
      kind: "hash",
      keySize: 4,
      valueSize: 32,
      maxEntries: 10,
      flags: 0,
      initial: null,
      frozen: false,
    });
    expect([counts.keyType, counts.valueType].map((id) => counts.btf!.describe(id))).toEqual([
      "u32",
      "struct value",
    ]);
  });

  test("parts that are not declared have the size the kind always has", () => {
    expect(shape("ring")).toEqual({ kind: "ringbuf", keySize: 0, valueSize: 0, maxEntries: 4096, flags: 0 });
    expect(shape("events")).toEqual({
      kind: "perf_event_array",
      keySize: 4,
      valueSize: 4,
      maxEntries: 0,
      flags: 0,
    });
    expect(shape("queue")).toEqual({ kind: "queue", keySize: 0, valueSize: 20, maxEntries: 7, flags: 0 });
    expect(shape("tails")).toEqual({ kind: "prog_array", keySize: 4, valueSize: 4, maxEntries: 4, flags: 0 });
  });

  test("flags that the kernel insists on are added", () => {
    expect(shape("trie")).toEqual({ kind: "lpm_trie", keySize: 8, valueSize: 4, maxEntries: 5, flags: 1 });
  });

  test("definitions of the old form are read, several from one section", () => {
    expect(shape("old_hash")).toEqual({ kind: "hash", keySize: 4, valueSize: 8, maxEntries: 100, flags: 1 });
    expect(shape("old_array")).toEqual({ kind: "array", keySize: 4, valueSize: 16, maxEntries: 3, flags: 0 });
    expect(program(object, "prog").mapReferences.map((reference) => reference.map)).toEqual([
      "old_array",
      "old_hash",
    ]);
  });

  test("event tables know the types submitted to them, without qualifiers and repeats", () => {
    const types = (name: string) => map(object, name).eventTypes.map((id) => object.btf!.describe(id));
    expect(types("events").sort()).toEqual(["exit_t", "struct data_t"]);
    expect(types("ring").sort()).toEqual(["exit_t", "u32"]);
    expect(types("queue")).toEqual([]);
  });

  test("a section that no program refers to is kept when it has variables", () => {
    expect(map(object, ".data").initial).toEqual(Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0));
  });

  test("data sections become arrays of one value, constants frozen", () => {
    const calls = readObject(fixture("calls"));
    expect(map(calls, ".rodata")).toMatchObject({
      kind: "array",
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
      flags: 128,
      frozen: true,
    });
    expect(map(calls, ".data")).toMatchObject({
      flags: 0,
      frozen: false,
      initial: Uint8Array.of(5, 0, 0, 0),
    });
    expect(map(calls, ".bss")).toMatchObject({ valueSize: 16, initial: new Uint8Array(16) });
  });

  test("data sections have their variables as type, in order of offset", () => {
    const { btf, valueType } = map(readObject(fixture("calls")), ".bss");
    const section = btf!.type(valueType);
    expect(section).toMatchObject({ kind: "datasec", size: 16 });
    const variables = section.kind === "datasec" ? section.variables : [];
    expect(variables.map(({ type, offset, size }) => [btf!.nameOf(type), offset, size])).toEqual([
      ["first.calls", 0, 4],
      ["total", 8, 8],
    ]);
  });
});

describe("types the kernel would refuse", () => {
  const { btf } = readObject(fixture("externs"));
  const kinds = Array.from({ length: btf!.endId - 1 }, (_, i) => btf!.type(i + 1));

  test("nothing is left that is defined elsewhere", () => {
    const linkages = kinds.flatMap((type) => ("linkage" in type ? [type.linkage] : []));
    expect(Math.max(...linkages)).toBe(1);
    expect(btf!.find("some_function")).toBe(0);
    expect(btf!.find("CONFIG_HZ")).toBe(0);
  });

  test("data sections that are left have a size and hold their variables", () => {
    const sections = kinds.filter((type) => type.kind === "datasec");
    expect(sections.map(({ name, size }) => [name, size])).toEqual([
      [".data", 16],
      [".rodata", 8],
    ]);
  });

  test("tags stay on what is left, and only there", () => {
    const tags = kinds.flatMap((type) => (type.kind === "decl_tag" ? [type.name] : []));
    expect(tags.sort()).toEqual(["counts", "of a struct"]);
  });
});

test("the caller's bytes are left alone", () => {
  const bytes = fixture("maps");
  const before = Buffer.from(bytes);
  readObject(bytes);
  expect(bytes.equals(before)).toBe(true);
});

test("a variable that holds an address is refused by name", () => {
  expect(() => readObject(fixture("pointers"))).toThrow(
    /variable "pointer" in section ".data" holds the address/,
  );
});

test.each<[string, (bytes: Buffer) => void, RegExp]>([
  ["a file that is not ELF", (bytes) => bytes.fill(0, 0, 4), /not an ELF file/],
  ["32-bit ELF", (bytes) => bytes.writeUInt8(1, 4), /64-bit little-endian/],
  ["big-endian ELF", (bytes) => bytes.writeUInt8(2, 5), /64-bit little-endian/],
  ["an object for another machine", (bytes) => bytes.writeUInt16LE(62, 18), /for BPF/],
  ["an executable", (bytes) => bytes.writeUInt16LE(2, 16), /relocatable/],
  ["section headers past the end", (bytes) => bytes.writeUInt32LE(0x7fffffff, 40), /past its end/],
])("%s is refused", (_, damage, message) => {
  const bytes = fixture("calls");
  damage(bytes);
  expect(() => readObject(bytes)).toThrow(ObjectError);
  expect(() => readObject(bytes)).toThrow(message);
});
