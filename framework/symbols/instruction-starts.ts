import { type CodeInstruction, x86Instruction } from "./x86-instruction.ts";

/** The two instructions between whose beginnings a place lies, in bytes from where the code begins. */
export interface Neighbours {
  readonly before: number;
  readonly after: number;
}

/** EM_ numbers. */
const X86_64 = 62;
const ARM64 = 183;

/** For each machine, by the number in an ELF file's header. */
const finders: Readonly<Record<number, (code: Uint8Array, place: number) => Neighbours | undefined>> = {
  [X86_64]: (code, place) => insideOf(code, place, x86Instruction),
  [ARM64]: (_, place) => {
    const before = place - (place % 4);
    return before === place ? undefined : { before, after: before + 4 };
  },
};

/**
 * The instructions around a place that is inside of one; undefined where one begins, and where that cannot be told.
 *
 * Text has data in it here and there, and some code jumps over the first byte of an instruction (a `lock`). So only what
 * is reached from the function's beginning counts as code: what follows an instruction, and where jumps go.
 *
 * @param code a function from its first byte to its last
 */
export function neighboursOf(machine: number, code: Uint8Array, place: number): Neighbours | undefined {
  return finders[machine]?.(code, place);
}

function insideOf(
  code: Uint8Array,
  place: number,
  decode: (code: Uint8Array, at: number) => CodeInstruction | undefined,
): Neighbours | undefined {
  const lengths = new Uint8Array(code.length);
  const waiting = [0];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    while (at < code.length && lengths[at] === 0) {
      const instruction = decode(code, at);
      if (instruction === undefined) break;
      const { length, target, ends } = instruction;
      lengths[at] = length;
      if (target !== undefined && target >= 0 && target < code.length) waiting.push(target);
      if (ends) break;
      at += length;
    }
  }
  if (lengths[place] !== 0) return undefined;
  for (let before = place - 1; before >= 0; before--) {
    if (lengths[before] !== 0) {
      const after = before + lengths[before]!;
      return after > place ? { before, after } : undefined;
    }
  }
  return undefined;
}
