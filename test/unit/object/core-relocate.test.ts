import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ObjectError } from "../../../framework/core/errors.ts";
import { Btf } from "../../../framework/object/btf.ts";
import { readObject } from "../../../framework/object/read-object.ts";
import { makeBtf } from "./make-btf.ts";

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/objects/${name}.o`, import.meta.url));
const kernel = readObject(fixture("kernel")).btf!;
const UNREACHABLE = 0xbad2310;

function instructions(name: string, kernelTypes?: () => Btf) {
  const object = readObject(fixture("core"), kernelTypes === undefined ? {} : { kernelTypes });
  const { insns } = object.programs.find((program) => program.name === name)!;
  const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength);
  return Array.from({ length: insns.length / 8 }, (_, i) => ({
    opcode: view.getUint8(i * 8),
    offset: view.getInt16(i * 8 + 2, true),
    imm: view.getInt32(i * 8 + 4, true),
  }));
}

/** Immediates of the constants that the program stores in `results`, by instruction. */
const constants = (at: readonly number[], kernelTypes?: () => Btf) => {
  const insns = instructions("prog", kernelTypes);
  return at.map((index) => insns[index]!.imm);
};

test("loads take the kernel's offsets, through unnamed members too", () => {
  const loads = instructions("direct", () => kernel).filter(({ opcode }) => (opcode & 7) === 1);
  // real_parent, pid, tgid, mm, map_count
  expect(loads.map(({ offset }) => offset)).toEqual([32, 16, 24, 40, 24]);
});

test("field offsets, also of array elements and bit fields, become the kernel's", () => {
  // tgid, comm, comm[3], in_execve
  expect(constants([4, 16, 18, 40], () => kernel)).toEqual([24, 48, 51, 80]);
});

test("size, shifts and sign of a field become the kernel's", () => {
  // in_execve: size, left shift, right shift; pid: signed
  expect(constants([42, 44, 46, 48], () => kernel)).toEqual([4, 56, 63, 1]);
});

test("presence of fields and types is answered, whatever ___suffix the local name has", () => {
  // task_struct___old.state, task_struct___new.__state, struct nope, struct task_struct
  expect(constants([32, 20, 22, 24], () => kernel)).toEqual([0, 1, 0, 1]);
});

test("size and id of a type become the kernel's", () => {
  const id = kernel.find("task_struct", "struct");
  expect(constants([26, 11], () => kernel)).toEqual([kernel.sizeOf(id), id]);
});

test("enumerators take the kernel's value, and absent ones are absent", () => {
  expect(constants([34, 37], () => kernel)).toEqual([27, 0]);
});

test("an access to a field the kernel lacks becomes a call that only matters where it is reached", () => {
  expect(instructions("reached", () => kernel)[1]).toEqual({ opcode: 0x85, offset: 0, imm: UNREACHABLE });
  expect(constants([53], () => kernel)).toEqual([UNREACHABLE]);
});

test("a load of an unsigned field moves as many bytes as the kernel's field has", () => {
  const [load] = instructions("wide", () => kernel);
  expect(load).toEqual({ opcode: 0x69, offset: 82, imm: 0 });
});

test("without the kernel's types the instructions stay as compiled", () => {
  const loads = instructions("direct").filter(({ opcode }) => (opcode & 7) === 1);
  expect(loads.map(({ offset }) => offset)).toEqual([40, 0, 4, 8, 0]);
});

test("a kernel that has none of the types leaves only answers and unreachable calls", () => {
  const empty = new Btf(makeBtf([]));
  expect(constants([32, 20, 22, 24, 26, 11], () => empty)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(constants([4, 16, 34], () => empty)).toEqual([UNREACHABLE, UNREACHABLE, UNREACHABLE]);
});

test("the kernel's types are asked for only when a program depends on them", () => {
  const refuse = (): Btf => {
    throw new ObjectError("asked for");
  };
  expect(() => readObject(fixture("calls"), { kernelTypes: refuse })).not.toThrow();
  expect(() => readObject(fixture("core"), { kernelTypes: refuse })).toThrow("asked for");
});
