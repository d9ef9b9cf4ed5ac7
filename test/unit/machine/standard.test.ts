import { describe, expect, test } from "vitest";
import { VerifierError } from "../../../framework/core/errors.ts";
import { helperByNumber } from "../../../framework/isa/helpers.ts";
import { decode } from "../../../framework/isa/instruction.ts";
import { implementations } from "../../../framework/machine/helpers/index.ts";
import { loadBytecode } from "../../../framework/machine/index.ts";
import { code, exit, type Insn } from "./assembler.ts";
import { type Encoded, isStandard } from "./standard.ts";

function bytesOf({ code: opcode, dst, src, off, imm }: Encoded): Insn {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  bytes[0] = opcode;
  bytes[1] = dst | (src << 4);
  view.setInt16(2, off, true);
  view.setInt32(4, imm, true);
  return [...bytes];
}

const SECOND_HALF: Insn = [0, 0, 0, 0, 0, 0, 0, 0];
const isWide = ({ code: opcode }: Encoded): boolean => opcode === 0x18;
const whole = (insn: Encoded): Insn => (isWide(insn) ? [...bytesOf(insn), ...SECOND_HALF] : bytesOf(insn));

const DESTINATIONS = [0, 1, 10, 11];
const SOURCES = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 15];
const OFFSETS = [0, 1, 8, 16, 32, -1, -0x8000];
const IMMEDIATES = [
  ...[0, 1, 8, 15, 16, 32, 64, 128, -1, -0x80000000],
  ...[0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe0, 0xe1, 0xf1, 0x100, 0x1e1],
];

/** Every combination of fields with one opcode byte. */
function* encodings(opcode: number): Generator<Encoded> {
  for (const dst of DESTINATIONS)
    for (const src of SOURCES)
      for (const off of OFFSETS) for (const imm of IMMEDIATES) yield { code: opcode, dst, src, off, imm };
}

describe.each([0, 1, 2, 3, 4, 5, 6, 7])("class %i", (group) => {
  test("has the instructions of the standard, and no others, whatever their fields hold", () => {
    const differences: Encoded[] = [];
    for (let opcode = group; opcode < 256; opcode += 8) {
      for (const insn of encodings(opcode)) {
        const accepted = decode(Uint8Array.from(whole(insn))).refusal === null;
        if (accepted !== isStandard(insn) && differences.length < 20) differences.push(insn);
      }
    }
    expect(differences).toEqual([]);
  }, 60_000);
});

/** Slots before and behind the instruction; each is an end of its own, so any of them may be jumped to or called. */
const BEFORE = 4;
const BEHIND = 4;

/** Where an instruction leads, by sections 4.3 and 5.4, when its encoding is right: null for one that leads nowhere. */
function target({
  code: opcode,
  src,
  off,
  imm,
}: Encoded): { readonly at: number; readonly calls: boolean } | null {
  const after = BEFORE + 1;
  if (opcode === 0x85) return src === 1 ? { at: after + imm, calls: true } : null;
  if (opcode === 0x18) return src === 4 ? { at: after + imm, calls: true } : null;
  if (opcode === 0x95) return null;
  if (opcode === 0x06) return { at: after + imm, calls: false };
  return (opcode & 7) === 5 || (opcode & 7) === 6 ? { at: after + off, calls: false } : null;
}

function hasHelper(number: number): boolean {
  const name = helperByNumber(number);
  return name !== undefined && implementations[name] !== undefined;
}

/** Whether an instruction of the standard may stand between ends. */
function mayLoad(insn: Encoded): boolean {
  const { code: opcode, dst, src, imm } = insn;
  const group = opcode & 7;
  const slots = isWide(insn) ? 2 : 1;
  const isFetch = opcode === 0xdb || opcode === 0xc3 ? (imm & 1) === 1 && imm !== 0xf1 : false;
  const writes = [0, 1, 4, 7].includes(group) && opcode !== 0x20 ? dst : isFetch ? src : 0;
  if (writes === 10) return false;
  // Helpers go by their number; kernel functions, and all that names what is not there, are refused.
  if (opcode === 0x85 && (src === 2 || (src === 0 && !hasHelper(imm)))) return false;
  if (opcode === 0x18 && ![0, 4].includes(src)) return false;
  const to = target(insn);
  if (to === null) return true;
  const last = BEFORE + slots + BEHIND - 1;
  if (to.at < 0 || to.at > last || (slots === 2 && to.at === BEFORE + 1)) return false;
  // A function that begins right behind its caller's call leaves that without an end.
  return !(to.calls && to.at === BEFORE + slots);
}

describe.each([0, 1, 2, 3, 4, 5, 6, 7])("class %i", (group) => {
  test("is refused where it leads out of the program, into a wide load, to r10 or to what is not there", () => {
    const differences: string[] = [];
    const fields = { registers: [0, 1, 2, 4, 10], distances: [-6, -5, -4, -1, 0, 1, 2, 3, 4, 5, 0x7fff] };
    for (let opcode = group; opcode < 256; opcode += 8) {
      for (const dst of fields.registers) {
        for (const src of fields.registers) {
          for (const off of fields.distances) {
            for (const imm of [...fields.distances, 16, 0x41, 0xf1, 0x7fffffff]) {
              const insn = { code: opcode, dst, src, off, imm };
              if (!isStandard(insn)) continue;
              const around = (count: number): readonly Insn[] => Array.from({ length: count }, () => exit);
              const bytes = code(...around(BEFORE), whole(insn), ...around(BEHIND));
              if (loads(bytes) !== mayLoad(insn) && differences.length < 20)
                differences.push(JSON.stringify(insn));
            }
          }
        }
      }
    }
    expect(differences).toEqual([]);
  }, 60_000);
});

function loads(bytes: Uint8Array): boolean {
  try {
    loadBytecode(bytes);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(VerifierError);
    return false;
  }
}

test("the second half of a wide load is an immediate and nothing else, and is there", () => {
  const first = bytesOf({ code: 0x18, dst: 1, src: 0, off: 0, imm: 7 });
  const second = (fields: Partial<Encoded>): Insn =>
    bytesOf({ code: 0, dst: 0, src: 0, off: 0, imm: -1, ...fields });
  expect(loads(code(first, second({}), exit))).toBe(true);
  for (const wrong of [{ code: 0x95 }, { code: 0x18 }, { dst: 1 }, { src: 1 }, { off: 1 }, { off: -1 }])
    expect(loads(code(first, second(wrong), exit))).toBe(false);
  expect(loads(code(exit, first))).toBe(false);
});
