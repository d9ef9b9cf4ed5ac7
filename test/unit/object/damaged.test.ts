import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ObjectError } from "../../../framework/core/errors.ts";
import { Btf } from "../../../framework/object/btf.ts";
import { readObject } from "../../../framework/object/read-object.ts";

/** More of them find more: ROUNDS=20000 takes a few minutes. */
const ROUNDS = Number(process.env["ROUNDS"] ?? 250);
const SEED = Number(process.env["SEED"] ?? 20240611);
const fixture = (name: string) => readFileSync(new URL(`../../fixtures/objects/${name}.o`, import.meta.url));
const kernel = readObject(fixture("kernel")).btf!;

/** mulberry32: the same numbers for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Reads everything an object has; true unless it is refused. Throws what is not an ObjectError. */
function isRead(bytes: Uint8Array): boolean {
  try {
    const { btf, maps } = readObject(bytes, { kernelTypes: () => kernel });
    for (let id = 1; id < (btf?.endId ?? 0); id++) touch(btf!, id);
    for (const map of maps) map.btf?.describe(map.valueType);
    return true;
  } catch (error) {
    if (error instanceof ObjectError) return false;
    throw error;
  }
}

/** Decodes a type; each part may be refused by itself. */
function touch(btf: Btf, id: number): void {
  for (const read of [
    () => btf.type(id),
    () => btf.sizeOf(id),
    () => btf.alignOf(id),
    () => btf.describe(id),
  ]) {
    try {
      read();
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
    }
  }
}

const names = ["calls", "maps", "externs", "core"];

test.each(names)("%s.o cut short anywhere is refused with an ObjectError", (name) => {
  const bytes = fixture(name);
  const next = random(SEED);
  for (let i = 0; i < 100; i++) expect(isRead(bytes.subarray(0, next(bytes.length)))).toBe(false);
});

test.each(names)(`%s.o with damaged bytes is read or refused, nothing else (SEED=${SEED})`, (name) => {
  const bytes = fixture(name);
  const next = random(SEED);
  let refused = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const copy = Buffer.from(bytes);
    for (let flips = 1 + next(3); flips > 0; flips--) copy.writeUInt8(next(256), next(copy.length));
    if (!isRead(copy)) refused++;
  }
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThan(ROUNDS);
});

test.each(names)(`%s.o with damaged tables is read or refused, nothing else (SEED=${SEED})`, (name) => {
  const bytes = fixture(name);
  const next = random(SEED + 1);
  const extremes = [0, 1, 7, 0x7f, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
  let refused = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(extremes[next(extremes.length)]!, next(copy.length / 4 - 1) * 4);
    if (!isRead(copy)) refused++;
  }
  expect(refused).toBeGreaterThan(0);
});

test(`damaged types are decoded or refused, nothing else (SEED=${SEED})`, () => {
  const next = random(SEED + 2);
  const bytes = readObject(fixture("core")).btf!.bytes;
  let decoded = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const copy = bytes.slice();
    for (let flips = 1 + next(4); flips > 0; flips--) copy[next(copy.length)] = next(256);
    try {
      const btf = new Btf(copy);
      for (let id = 1; id < btf.endId; id++) touch(btf, id);
      btf.findEnumerator("BPF_MAP_TYPE_RINGBUF");
      btf.findAll("task_struct");
      decoded++;
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
    }
  }
  expect(decoded).toBeGreaterThan(0);
});
