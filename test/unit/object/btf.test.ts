import { expect, test } from "vitest";
import { ObjectError } from "../../../framework/core/errors.ts";
import { Btf } from "../../../framework/object/btf.ts";
import { array, constant, int, makeBtf, ptr, struct, typedef, volatile } from "./make-btf.ts";

const SIGNED = 1;

/** A small world: ids are the positions, from 1. */
const world = new Btf(
  makeBtf([
    int("int", 4, SIGNED), // 1
    int("char", 1, SIGNED), // 2
    int("unsigned long", 8), // 3
    typedef("u64", 3), // 4
    constant(4), // 5
    volatile(5), // 6
    ptr(6), // 7
    array(2, 16), // 8
    struct(
      "data_t",
      40,
      [
        ["ts", 4, 0],
        ["comm", 8, 64],
        ["next", 10, 192],
        ["flags", 1, 256 | (3 << 24)],
      ],
      true,
    ), // 9
    ptr(9), // 10
    { kind: 6, name: "color", count: 2, third: 4, rest: ["RED", 0, "BLUE", 0xffffffff] }, // 11
    { kind: 6, name: "signed_color", count: 1, flag: true, third: 4, rest: ["MINUS", 0xffffffff] }, // 12
    { kind: 19, name: "wide", count: 1, flag: true, third: 8, rest: ["LEAST", 0, 0x80000000] }, // 13
    { kind: 13, count: 2, third: 1, rest: ["ctx", 10, "", 0] }, // 14
    ptr(14), // 15
    { kind: 12, name: "run", count: 1, third: 14 }, // 16
    struct("packed", 5, [
      ["a", 2, 0],
      ["b", 1, 8],
    ]), // 17
    typedef("data_t", 9), // 18
    { kind: 14, name: "counter", third: 4, rest: [1] }, // 19
    { kind: 15, name: ".bss", count: 1, third: 8, rest: [19, 0, 8] }, // 20
    { kind: 17, name: "note", third: 9, rest: [0xffffffff] }, // 21
    { kind: 7, name: "later", flag: true }, // 22
    array(8, 2), // 23
    { kind: 18, name: "user", third: 9 }, // 24
    ptr(24), // 25
    { kind: 16, name: "double", third: 8 }, // 26
  ]),
);

test("ids run from 1 to the number of types", () => {
  expect([world.firstId, world.endId]).toEqual([1, 27]);
});

test("a struct lists its members with bit offsets, and bit fields with their width", () => {
  expect(world.type(9)).toEqual({
    kind: "struct",
    name: "data_t",
    size: 40,
    members: [
      { name: "ts", type: 4, bitOffset: 0, bitSize: 0 },
      { name: "comm", type: 8, bitOffset: 64, bitSize: 0 },
      { name: "next", type: 10, bitOffset: 192, bitSize: 0 },
      { name: "flags", type: 1, bitOffset: 256, bitSize: 3 },
    ],
  });
});

test("decoding a type twice gives the same object", () => {
  expect(world.type(9)).toBe(world.type(9));
});

test("id 0 is void", () => {
  expect([world.type(0), world.kindOf(0), world.sizeOf(0), world.nameOf(0)]).toEqual([
    { kind: "void" },
    "void",
    0,
    "",
  ]);
});

test("enumerators are signed only where the enum says so", () => {
  expect(world.type(11)).toMatchObject({
    signed: false,
    values: [{ value: 0n }, { name: "BLUE", value: 0xffffffffn }],
  });
  expect(world.type(12)).toMatchObject({ signed: true, values: [{ name: "MINUS", value: -1n }] });
  expect(world.type(13)).toMatchObject({ kind: "enum64", values: [{ name: "LEAST", value: -(2n ** 63n) }] });
});

test("functions, variables, data sections, tags and announced types decode", () => {
  expect(world.type(14)).toEqual({
    kind: "func_proto",
    returns: 1,
    params: [
      { name: "ctx", type: 10 },
      { name: "", type: 0 },
    ],
  });
  expect(world.type(16)).toEqual({ kind: "func", name: "run", type: 14, linkage: 1 });
  expect(world.type(19)).toEqual({ kind: "var", name: "counter", type: 4, linkage: 1 });
  expect(world.type(20)).toEqual({
    kind: "datasec",
    name: ".bss",
    size: 8,
    variables: [{ type: 19, offset: 0, size: 8 }],
  });
  expect(world.type(21)).toEqual({ kind: "decl_tag", name: "note", type: 9, component: -1 });
  expect(world.type(22)).toEqual({ kind: "fwd", name: "later", union: true });
});

test("resolve looks through typedefs and qualifiers, and stops at pointers", () => {
  expect([world.resolve(6), world.resolve(7), world.resolve(24), world.resolve(1)]).toEqual([3, 7, 9, 1]);
});

test("sizes follow typedefs, and multiply through nested arrays", () => {
  expect([6, 7, 8, 9, 11, 16, 19, 20, 22, 23].map((id) => world.sizeOf(id))).toEqual([
    8, 8, 16, 40, 4, 0, 8, 8, 0, 32,
  ]);
});

test("a struct aligns as its widest member, a packed one to 1", () => {
  expect([6, 7, 8, 9, 17, 26].map((id) => world.alignOf(id))).toEqual([8, 8, 1, 8, 1, 8]);
});

test("find gives the first type of a name, of the kinds asked for", () => {
  expect(world.find("data_t")).toBe(9);
  expect(world.find("data_t", "typedef")).toBe(18);
  expect(world.find("data_t", "union", "enum")).toBe(0);
  expect(world.findAll("data_t")).toEqual([9, 18]);
  expect(world.findAll("data_t", "struct")).toEqual([9]);
});

test("find takes whole names only, and no empty one", () => {
  expect(["data", "ata_t", "", "ctx", "int\0char"].map((name) => world.find(name))).toEqual([0, 0, 0, 0, 0]);
});

test("an enumerator is found with its enum", () => {
  expect(world.findEnumerator("BLUE")).toEqual({ type: 11, value: 0xffffffffn });
  expect(world.findEnumerator("LEAST")).toEqual({ type: 13, value: -(2n ** 63n) });
  expect(world.findEnumerator("color")).toBeUndefined();
});

test("types are described as C writes them", () => {
  expect([0, 4, 6, 7, 8, 10, 11, 13, 15, 16, 20, 22, 23, 25].map((id) => world.describe(id))).toEqual([
    "void",
    "u64",
    "volatile const u64",
    "volatile const u64 *",
    "char[16]",
    "struct data_t *",
    "enum color",
    "enum wide",
    "int (*)(struct data_t *, void)",
    "int run(struct data_t *, void)",
    ".bss",
    "union later",
    "char[2][16]",
    "struct data_t *",
  ]);
});

test("searching many absent names still finds those that are there", () => {
  const many = new Btf(makeBtf(Array.from({ length: 200 }, (_, i) => typedef(`name_${i}`, 0))));
  for (let i = 0; i < 200; i++) expect(many.find(`absent_${i}`)).toBe(0);
  expect(Array.from({ length: 200 }, (_, i) => many.find(`name_${i}`))).toEqual(
    Array.from({ length: 200 }, (_, i) => i + 1),
  );
});

test("split BTF goes on after its base: ids, strings and lookups", () => {
  const base = makeBtf([int("int", 4, SIGNED), struct("shared", 4, [["a", 1, 0]])]);
  const baseStrings = new DataView(base.buffer).getUint32(20, true);
  const kernel = new Btf(base);
  const module = new Btf(
    makeBtf([ptr(2), struct("own", 8, [["p", 3, 0]]), typedef("shared", 4)], { firstString: baseStrings }),
    kernel,
  );
  expect([module.firstId, module.endId]).toEqual([3, 6]);
  expect(module.describe(3)).toBe("struct shared *");
  expect([module.find("own"), module.find("int"), module.find("p")]).toEqual([4, 1, 0]);
  expect(module.findAll("shared")).toEqual([2, 5]);
  expect(module.sizeOf(4)).toBe(8);
});

test("bytes at an odd address read the same", () => {
  const bytes = makeBtf([int("int", 4, SIGNED)]);
  const shifted = Buffer.concat([Buffer.from([0]), bytes]).subarray(1);
  expect(new Btf(shifted).type(1)).toEqual(new Btf(bytes).type(1));
});

test("a chain of qualifiers that closes on itself throws", () => {
  const cyclic = new Btf(makeBtf([constant(2), volatile(1), array(3, 2), struct("s", 4, [["s", 4, 0]])]));
  expect(() => cyclic.resolve(1)).toThrow(ObjectError);
  expect(() => cyclic.sizeOf(3)).toThrow(/contains itself/);
  expect(() => cyclic.alignOf(4)).toThrow(/contains itself/);
});

test("describing a function pointer that takes itself ends", () => {
  const cyclic = new Btf(makeBtf([ptr(2), { kind: 13, count: 3, third: 1, rest: ["", 1, "", 1, "", 1] }]));
  expect(cyclic.describe(1)).toContain("…");
});

test("ids outside the range throw", () => {
  for (const id of [27, -1, 1.5, 2 ** 32, Number.NaN])
    expect(() => world.type(id)).toThrow(/there is no type/);
});

const int4 = makeBtf([int("int", 4, SIGNED)]);
const changed = (at: number, ...bytes: number[]): Uint8Array => {
  const copy = int4.slice();
  copy.set(bytes, at);
  return copy;
};

test.each<[string, Uint8Array, RegExp]>([
  ["fewer bytes than a header", int4.subarray(0, 20), /fewer than its header/],
  ["a wrong magic number", changed(0, 1, 2), /magic number/],
  ["big-endian BTF", changed(0, 0xeb, 0x9f), /big-endian/],
  ["another version", changed(2, 2), /version is 2/],
  ["a type section past the end", changed(12, 0xff, 0xff), /type section ends past/],
  ["a string section past the end", int4.subarray(0, int4.length - 1), /string section ends past/],
  ["a last string without an end", changed(int4.length - 1, 65), /last string does not end/],
  ["a type of an unknown kind", changed(31, 31), /unknown kind 31/],
  ["a type longer than the section", changed(28, 9, 0, 0, 4), /ends past the type section/],
])("%s throws", (_, bytes, message) => {
  expect(() => new Btf(bytes)).toThrow(ObjectError);
  expect(() => new Btf(bytes)).toThrow(message);
});

test("a name past the string section throws when it is asked for", () => {
  const btf = new Btf(changed(24, 0xff));
  expect(() => btf.type(1)).toThrow(/string offset 255/);
});
