import { spawnSync } from "node:child_process";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { AttachError, type BPF } from "../../../framework/index.ts";
import type { ElfFile } from "../../../framework/symbols/elf-file.ts";
import { type FileSymbol, SymbolTable } from "../../../framework/symbols/elf-symbols.ts";
import { neighboursOf } from "../../../framework/symbols/instruction-starts.ts";
import { ModuleSymbols } from "../../../framework/symbols/module-symbols.ts";
import { x86Instruction } from "../../../framework/symbols/x86-instruction.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());

const X86_64 = 62;

/** A function's code, and where its instructions begin according to somebody else. */
interface Known {
  readonly name: string;
  readonly code: Uint8Array;
  readonly starts: readonly number[];
}

function codeOf({ file }: ModuleSymbols, { address, size }: FileSymbol): Uint8Array {
  return file.read(file.fileOffsetOf(address)!, size);
}

/** Where the labels of `Workshop.labelled` are. */
function labelsOf(file: ElfFile): readonly number[] {
  const table = SymbolTable.of(file, ".symtab")!;
  const found = new Set<number>();
  table.scan(({ nameAt, address }) => {
    if (table.nameAt(nameAt).startsWith("at_")) found.add(address);
  });
  return [...found].sort((a, b) => a - b);
}

/** Checks the length of each instruction, and what is said of each place of each function; gives how many were refused. */
function expectAgreement(functions: readonly Known[]): number {
  let refused = 0;
  for (const { name, code, starts } of functions) {
    const ends = [...starts.slice(1), code.length];
    const lengths = starts.map((start) => x86Instruction(code, start)?.length);
    expect(lengths, name).toEqual(starts.map((start, i) => ends[i]! - start));
    for (let place = 0; place < code.length; place++) {
      const found = neighboursOf(X86_64, code, place);
      if (found === undefined) continue;
      refused++;
      const before = starts.findLast((start) => start <= place)!;
      expect([name, place, found]).toEqual([name, place, { before, after: ends[starts.indexOf(before)] }]);
      expect(before, `${name}+${place}`).toBeLessThan(place);
    }
  }
  return refused;
}

function placesInside(functions: readonly Known[]): number {
  return functions.reduce((sum, { code, starts }) => sum + code.length - starts.length, 0);
}

describe("instructions of compiled code begin where the compiler says", () => {
  test.each([
    ["without optimization", ["-O0"]],
    ["small", ["-Os", "-fcf-protection"]],
    ["with AVX2", ["-O2", "-march=haswell", "-fjump-tables"]],
    ["with AVX-512", ["-O3", "-march=skylake-avx512", "-fcf-protection"]],
  ])("%s", (name, flags) => {
    const symbols = new ModuleSymbols(
      workshop.labelled(name.replaceAll(" ", "-"), { source: "mixed.c", flags }),
    );
    const labels = labelsOf(symbols.file);
    const functions = symbols.functions().map((symbol) => ({
      name: symbol.name,
      code: codeOf(symbols, symbol),
      starts: labels
        .map((address) => address - symbol.address)
        .filter((offset) => offset >= 0 && offset < symbol.size),
    }));
    expect(functions.length).toBeGreaterThan(7);
    // What a table of jumps leads to is not followed.
    expect(expectAgreement(functions)).toBeGreaterThan(placesInside(functions) / 2);
  });
});

test("instructions of a program begin where objdump says", (context) => {
  const program = workshop.make("listed", { source: "calls.c", target: "x86_64" });
  const listing = spawnSync("objdump", ["-d", "--no-show-raw-insn", program], { encoding: "utf8" });
  if (listing.status !== 0) context.skip("objdump of x86-64 code is not installed");
  const listed = [...listing.stdout.matchAll(/^\s*([0-9a-f]+):\t/gm)].map(([, hex]) => parseInt(hex!, 16));
  const symbols = new ModuleSymbols(program);
  const functions = symbols.functions().map((symbol) => ({
    name: symbol.name,
    code: codeOf(symbols, symbol),
    starts: listed
      .map((address) => address - symbol.address)
      .filter((offset) => offset >= 0 && offset < symbol.size),
  }));
  expect(functions.length).toBeGreaterThan(7);
  expect(expectAgreement(functions)).toBeGreaterThan(placesInside(functions) / 2);
});

describe("a place inside of an instruction", () => {
  beforeEach((context) => needsKernel(context, "uprobe"));

  const COUNT = `
    BPF_ARRAY(calls, u64, 1);
    int count(struct pt_regs *ctx) { calls.atomic_increment(0); return 0; }`;
  const program = workshop.make("calls", { source: "calls.c", link: ["-pie"] });
  const stripped = workshop.make("stripped", { source: "calls.c", link: ["-pie", "--strip-all"] });
  const symbols = new ModuleSymbols(program);
  const [twice] = symbols.find("twice") as [FileSymbol];
  const code = codeOf(symbols, twice);
  const inside = Array.from(code.keys()).filter(
    (place) => neighboursOf(symbols.file.machine, code, place) !== undefined,
  );
  const starts = Array.from(code.keys()).filter((place) => !inside.includes(place));
  const counted = (b: BPF): unknown => b.get_table("calls").values()[0];
  const refusal = (options: { sym?: string; sym_off?: number; addr?: number }): AttachError => {
    using b = open(COUNT);
    return failure(AttachError, () => b.attach_uprobe({ name: program, fn_name: "count", ...options }));
  };

  test("is refused wherever it is, and every beginning of an instruction is probed", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    const where = { name: program, sym: "twice", fn_name: "count", pid: target.pid };
    for (const sym_off of starts) b.attach_uprobe({ ...where, sym_off });
    for (const sym_off of inside) {
      expect(failure(AttachError, () => b.attach_uprobe({ ...where, sym_off })).message).toContain(
        "is inside of",
      );
    }
    expect([starts.length > 2, inside.length > 2, b.num_open_uprobes()]).toEqual([true, true, starts.length]);
    await target.run("tt");
    expect(counted(b)).toBe(BigInt(2 * starts.length));
  });

  test("the message names the function, the place and those beside it, by symbol and by address", () => {
    const [place] = inside as [number];
    const before = starts.findLast((start) => start < place)!;
    const after = starts.find((start) => start > place)!;
    const spelled = (offset: number): string => (offset === 0 ? "twice" : `twice+0x${offset.toString(16)}`);
    const words = `${spelled(place)} of ${program} is inside of an instruction: one begins at ${spelled(before)}, the next at ${spelled(after)}`;
    const bySymbol = refusal({ sym: "twice", sym_off: place });
    expect(bySymbol.message).toBe(`attach_uprobe: ${words}`);
    expect(bySymbol.hint).toContain(`objdump -d ${program}`);
    expect(refusal({ addr: twice.address + place }).message).toBe(`attach_uprobe: ${words}`);
  });

  test("is refused for return probes and sections too", () => {
    const [place] = inside as [number];
    using b = open(COUNT);
    const atReturn = failure(AttachError, () =>
      b.attach_uretprobe({ name: program, addr: twice.address + place, fn_name: "count" }),
    );
    expect(atReturn.message).toContain("is inside of an instruction");
    const section = `uprobe/${program}:twice+0x${place.toString(16)}`;
    const text = `SEC("${section}") int f(struct pt_regs *ctx) { return 0; } char LICENSE[] SEC("license") = "GPL";`;
    const bySection = failure(AttachError, () => open(text));
    expect(bySection.message).toContain(`section "${section}": twice+`);
    expect(bySection.message).toContain("is inside of an instruction");
  });

  test("what was attached before stays, and works", async () => {
    using target = new Target(program);
    using b = open(COUNT);
    const where = { name: program, sym: "twice", fn_name: "count", pid: target.pid };
    b.attach_uprobe(where);
    failure(AttachError, () => b.attach_uprobe({ ...where, sym_off: inside[0]! }));
    await target.run("ttt");
    expect(counted(b)).toBe(3n);
  });

  test("cannot be told without symbols, so that nothing is refused there", () => {
    using b = open(COUNT);
    b.attach_uprobe({ name: stripped, addr: twice.address + starts[1]!, fn_name: "count" });
    expect(b.num_open_uprobes()).toBe(1);
    b.detach_uprobe({ name: stripped, addr: twice.address + starts[1]! });
    expect(b.num_open_uprobes()).toBe(0);
  });
});
