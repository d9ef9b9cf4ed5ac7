import type { Random } from "../../unit/rewriter/random.ts";

/** A random C value of a random type: as C declares and writes it, as C checks it, and as JavaScript has it. */
export interface Sample {
  /** Declares `name` with the type: `u32 name`, `char name[4]`. */
  declare(name: string): string;
  /** An initializer of the value. */
  readonly init: string;
  /** Conditions that hold exactly when `place`, an expression, has the value. */
  check(place: string): readonly string[];
  readonly value: unknown;
}

/** A record with everything it needs before it. */
export interface RecordSample extends Sample {
  /** Definitions of its type and of those inside. */
  readonly definitions: string;
}

/** Bits of the integer types, by name. */
const integers = { u8: 8, u16: 16, u32: 32, u64: 64, s8: 8, s16: 16, s32: 32, s64: 64 } as const;

/** Enums that samples choose from: their C text, and values with what reads of them give. */
export const ENUMS = `
enum small { SMALL_LOW = -3, SMALL_ZERO = 0, SMALL_HIGH = 70000 };
enum flags { FLAG_ONE = 1, FLAG_ALL = 0xffffffff };
enum huge : unsigned long long { HUGE_ONE = 1, HUGE_TOP = 0x8000000000000001ULL };
`;

const enums: readonly (readonly [type: string, name: string, value: number | bigint])[] = [
  ["small", "SMALL_LOW", -3],
  ["small", "SMALL_HIGH", 70_000],
  ["flags", "FLAG_ALL", 0xffff_ffff],
  ["huge", "HUGE_TOP", 0x8000_0000_0000_0001n],
];

/** The compiler's 64-bit literal of any bits. */
function literal(bits: bigint): string {
  return `0x${BigInt.asUintN(64, bits).toString(16)}ULL`;
}

function bitsBelow(random: Random, bits: number): bigint {
  let value = 0n;
  for (let done = 0; done < bits; done += 16) value = (value << 16n) | BigInt(random.below(65_536));
  return BigInt.asUintN(bits, value);
}

function integer(random: Random): Sample {
  const type = random.pick(Object.keys(integers) as (keyof typeof integers)[]);
  const bits = integers[type];
  const raw = bitsBelow(random, bits);
  const value = type.startsWith("s") ? BigInt.asIntN(bits, raw) : raw;
  const text = `(${type})${literal(value)}`;
  return {
    declare: (name) => `${type} ${name}`,
    init: text,
    check: (place) => [`${place} == ${text}`],
    value: bits === 64 ? value : Number(value),
  };
}

function wide(random: Random): Sample {
  const isSigned = random.below(2) === 0;
  const type = isSigned ? "__int128" : "unsigned __int128";
  const [high, low] = [bitsBelow(random, 64), bitsBelow(random, 64)];
  const raw = (high << 64n) | low;
  return {
    declare: (name) => `${type} ${name}`,
    init: `(${type})((unsigned __int128)${literal(high)} << 64 | ${literal(low)})`,
    check: (place) => [
      `(u64)((unsigned __int128)${place} >> 64) == ${literal(high)}`,
      `(u64)${place} == ${literal(low)}`,
    ],
    value: isSigned ? BigInt.asIntN(128, raw) : raw,
  };
}

function boolean(random: Random): Sample {
  const value = random.below(2) === 1;
  return {
    declare: (name) => `bool ${name}`,
    init: value ? "1" : "0",
    check: (place) => [`${place} == ${value ? 1 : 0}`],
    value,
  };
}

function enumerator(random: Random): Sample {
  const [type, name, value] = random.pick(enums);
  return {
    declare: (field) => `enum ${type} ${field}`,
    init: name,
    check: (place) => [`${place} == ${name}`],
    value,
  };
}

function pointer(random: Random): Sample {
  const value = bitsBelow(random, 48);
  const type = random.pick(["void *", "const char *", "struct task_struct *", "int (*"]);
  const text = `(void *)${literal(value)}`;
  return {
    declare: (name) => (type === "int (*" ? `int (*${name})(int)` : `${type}${name}`),
    init: text,
    check: (place) => [`(u64)${place} == ${literal(value)}`],
    value,
  };
}

/** The program has no floating point, so it looks at the bits. */
function float(random: Random): Sample {
  const value = (random.below(200_000) - 100_000) / 8;
  const isDouble = random.below(2) === 0;
  const view = new DataView(new ArrayBuffer(8));
  if (isDouble) view.setFloat64(0, value, true);
  else view.setFloat32(0, value, true);
  const [word, bits] = isDouble
    ? ["u64", view.getBigUint64(0, true)]
    : ["u32", BigInt(view.getUint32(0, true))];
  return {
    declare: (name) => `${isDouble ? "double" : "float"} ${name}`,
    init: isDouble ? `${value.toFixed(3)}` : `${value.toFixed(3)}f`,
    check: (place) => [`*(volatile ${word} *)&${place} == ${literal(bits)}`],
    value,
  };
}

function text(random: Random): Sample {
  const length = 1 + random.below(20);
  const value = Array.from({ length: random.below(length + 1) }, () =>
    random.pick(["a", "Z", "0", " ", "~"]),
  ).join("");
  const bytes = [...value.padEnd(length, "\0")].map((letter) => letter.charCodeAt(0));
  return {
    declare: (name) => `char ${name}[${length}]`,
    init: `{ ${bytes.join(", ")} }`,
    check: (place) => bytes.map((byte, i) => `${place}[${i}] == ${byte}`),
    value,
  };
}

function bytes(random: Random): Sample {
  const value = Uint8Array.from({ length: 1 + random.below(9) }, () => random.below(256));
  return {
    declare: (name) => `u8 ${name}[${value.length}]`,
    init: `{ ${value.join(", ")} }`,
    check: (place) => [...value].map((byte, i) => `${place}[${i}] == ${byte}`),
    value,
  };
}

function list(random: Random): Sample {
  const items = Array.from({ length: 1 + random.below(3) }, () => random.below(65_536) - 32_768);
  return {
    declare: (name) => `s16 ${name}[${items.length}]`,
    init: `{ ${items.join(", ")} }`,
    check: (place) => items.map((item, i) => `${place}[${i}] == ${item}`),
    value: items,
  };
}

function grid(random: Random): Sample {
  const rows = Array.from({ length: 2 }, () => Array.from({ length: 3 }, () => random.below(1e9)));
  return {
    declare: (name) => `u32 ${name}[2][3]`,
    init: `{ ${rows.map((row) => `{ ${row.join(", ")} }`).join(", ")} }`,
    check: (place) => rows.flatMap((row, i) => row.map((item, j) => `${place}[${i}][${j}] == ${item}`)),
    value: rows,
  };
}

/** A bit field: declared with a width, and never alone in an array. */
function bitField(random: Random): Sample {
  const isBool = random.below(6) === 0;
  const type = isBool ? "bool" : random.pick(["u8", "u16", "u32", "s32", "u64", "s64"] as const);
  const size = isBool ? 1 : integers[type as keyof typeof integers];
  const bits = 1 + random.below(size);
  const raw = bitsBelow(random, bits);
  const value = type.startsWith("s") ? BigInt.asIntN(bits, raw) : raw;
  return {
    declare: (name) => `${type} ${name} : ${bits}`,
    init: isBool ? `${value}` : `(${type})${literal(value)}`,
    check: (place) => [isBool ? `${place} == ${value}` : `${place} == (${type})${literal(value)}`],
    value: isBool ? value === 1n : size === 64 ? value : Number(value),
  };
}

const makers = [integer, integer, integer, wide, boolean, enumerator, pointer, float, text, bytes] as const;

/** Gives names that no other record or field has. */
export class Names {
  #count = 0;

  next(prefix: string): string {
    return `${prefix}${this.#count++}`;
  }
}

/** A struct with random fields, nested up to `depth` records deep. */
export function randomStruct(random: Random, names: Names, depth = 2): RecordSample {
  const tag = names.next("record");
  const fields: string[] = [];
  const inits: string[] = [];
  const checks: ((place: string) => readonly string[])[] = [];
  const definitions: string[] = [];
  const value: Record<string, unknown> = {};

  const put = (sample: Sample, into: string[] = fields): void => {
    const name = names.next("f");
    const align = random.below(12) === 0 && !sample.declare(name).includes(" : ");
    into.push(`${sample.declare(name)}${align ? " __attribute__((aligned(16)))" : ""};`);
    inits.push(`.${name} = ${sample.init}`);
    checks.push((place) => sample.check(`${place}.${name}`));
    value[name] = sample.value;
  };

  const count = 2 + random.below(7);
  for (let i = 0; i < count; i++) {
    const choice = random.below(12);
    if (choice < 3) put(bitField(random));
    else if (choice === 3 && random.below(2) === 0) fields.push(`u32 : ${random.below(20)};`);
    else if (choice === 4) put(random.pick([list, grid])(random));
    else if (choice === 5 && depth > 0) {
      const inner = randomStruct(random, names, depth - 1);
      definitions.push(inner.definitions);
      put(inner);
    } else if (choice === 6 && depth > 0) {
      // All items are of one type: the same record, twice.
      const inner = randomStruct(random, names, 0);
      definitions.push(inner.definitions);
      put(twice(inner));
    } else if (choice === 7) put(unionOf(random, names));
    else if (choice === 8) {
      const inner: string[] = [];
      put(random.pick(makers)(random), inner);
      put(random.pick(makers)(random), inner);
      fields.push(`struct { ${inner.join(" ")} };`);
    } else put(random.pick(makers)(random));
  }
  put(integer(random));
  const attribute = random.pick(["", "", "", " __attribute__((packed))", " __attribute__((aligned(32)))"]);
  definitions.push(`struct ${tag} { ${fields.join(" ")} }${attribute};`);
  return {
    definitions: definitions.join("\n"),
    declare: (name) => `struct ${tag} ${name}`,
    init: `{ ${inits.join(", ")} }`,
    check: (place) => checks.flatMap((check) => check(place)),
    value,
  };
}

function twice(inner: RecordSample): Sample {
  return {
    declare: (name) => `${inner.declare(name)}[2]`,
    init: `{ ${inner.init}, ${inner.init} }`,
    check: (place) => [0, 1].flatMap((i) => inner.check(`${place}[${i}]`)),
    value: [inner.value, inner.value],
  };
}

/** One member of an anonymous union, whose other member has the same bytes. */
function unionOf(random: Random, names: Names): Sample {
  const sample = integer(random);
  const other = names.next("other");
  return {
    ...sample,
    declare: (name) => `union { u8 ${other}[2]; ${sample.declare(name)}; }`,
  };
}
