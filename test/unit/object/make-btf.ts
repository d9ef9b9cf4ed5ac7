/** One type as the file format has it: kind number, name, number of entries, size or type id, further words. */
export interface RawType {
  readonly kind: number;
  readonly name?: string;
  readonly count?: number;
  readonly flag?: boolean;
  readonly third?: number;
  readonly rest?: readonly (number | string)[];
}

/** How to lay the bytes out. */
export interface MakeOptions {
  /** Where own strings begin: the base's string bytes, for split BTF. */
  readonly firstString?: number;
}

/** BTF bytes of these types; a string among the words becomes the offset of that name. */
export function makeBtf(types: readonly RawType[], { firstString = 0 }: MakeOptions = {}): Uint8Array {
  let text = firstString === 0 ? "\0" : "";
  const offsets = new Map<string, number>([["", 0]]);
  const offsetOf = (name: string): number => {
    const known = offsets.get(name);
    if (known !== undefined) return known;
    const offset = firstString + text.length;
    offsets.set(name, offset);
    text += `${name}\0`;
    return offset;
  };
  const words = types.flatMap(({ kind, name = "", count = 0, flag = false, third = 0, rest = [] }) => [
    offsetOf(name),
    ((flag ? 0x80000000 : 0) | (kind << 24) | count) >>> 0,
    third,
    ...rest.map((item) => (typeof item === "string" ? offsetOf(item) : item)),
  ]);
  const header = Uint32Array.of(0x0001eb9f, 24, 0, words.length * 4, words.length * 4, text.length);
  return new Uint8Array([
    ...new Uint8Array(header.buffer),
    ...new Uint8Array(Uint32Array.from(words).buffer),
    ...Buffer.from(text),
  ]);
}

export const int = (name: string, size: number, encoding = 0): RawType => ({
  kind: 1,
  name,
  third: size,
  rest: [((encoding << 24) | (size * 8)) >>> 0],
});
export const ptr = (third: number): RawType => ({ kind: 2, third });
export const array = (element: number, length: number): RawType => ({ kind: 3, rest: [element, 1, length] });
export const struct = (
  name: string,
  third: number,
  members: readonly [string, number, number][],
  flag = false,
): RawType => ({
  kind: 4,
  name,
  third,
  flag,
  count: members.length,
  rest: members.flat(),
});
export const typedef = (name: string, third: number): RawType => ({ kind: 8, name, third });
export const volatile = (third: number): RawType => ({ kind: 9, third });
export const constant = (third: number): RawType => ({ kind: 10, third });
