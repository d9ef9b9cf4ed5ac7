import { expect, test } from "vitest";
import { LayoutError } from "../../../../framework/core/errors.ts";
import { textArray } from "../../../../maps/codecs/text-array.ts";

function read(length: number, bytes: readonly number[]): string {
  return reader(length)(bytes);
}

function reader(length: number): (bytes: readonly number[]) => string {
  const codec = textArray(length);
  return (bytes) => {
    const data = new Uint8Array(length + 3);
    data.set(bytes.slice(0, length), 3);
    return codec.read(new DataView(data.buffer), 3);
  };
}

const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];
const lengths = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 64, 255, 256, 257, 1024];

test.each(lengths)("char[%i] without a NUL is read to its end", (length) => {
  const text = Array.from({ length }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
  expect(read(length, utf8(text))).toBe(text);
});

test.each(lengths.filter((length) => length > 0))("char[%i] is read up to each possible NUL", (length) => {
  const readOne = reader(length);
  const text = Array.from({ length }, (_, i) => String.fromCharCode(65 + (i % 26))).join("");
  const cuts = Array.from({ length }, (_, end) => end);
  const seen = cuts.map((end) => readOne([...utf8(text.slice(0, end)), 0, ...utf8(text.slice(end + 1))]));
  expect(seen).toEqual(cuts.map((end) => text.slice(0, end)));
});

test("left-overs behind the NUL do not change what is read", () => {
  const readOne = reader(16);
  expect(readOne([...utf8("bash"), 0, ...utf8("one")])).toBe("bash");
  expect(readOne([...utf8("bash"), 0, ...utf8("another")])).toBe("bash");
  expect(readOne([...utf8("bashful")])).toBe("bashful");
  expect(readOne([...utf8("bash"), 0])).toBe("bash");
});

test.each([0, 1, 2, 3])(
  "command names that differ in their word %i alone stay apart, seen again or not",
  (word) => {
    const readOne = reader(16);
    const texts = ["0123456789abcdef", "0123456789abcdef".replace("048c"[word]!, "X")];
    const seen = [0, 1, 1, 0, 0, 1].map((i) => readOne(utf8(texts[i]!)));
    expect(seen).toEqual([0, 1, 1, 0, 0, 1].map((i) => texts[i]));
  },
);

test("an array of zeros reads as no text, also behind one with text", () => {
  const readOne = reader(16);
  expect([readOne([]), readOne(utf8("sh")), readOne([])]).toEqual(["", "sh", ""]);
});

test("texts that share a beginning stay apart when read in turn", () => {
  const readOne = reader(16);
  const texts = Array.from({ length: 2000 }, (_, i) => `kworker/${i % 1000}`);
  expect(texts.map((text) => readOne(utf8(text)))).toEqual(texts);
});

test("bytes of 0x80 and more beside a NUL are read right", () => {
  expect(read(8, utf8("é"))).toBe("é");
  expect(read(8, [0xe2, 0x82, 0xac, 0, 0x80, 0x80, 0x80, 0x80])).toBe("€");
  expect(read(4, [0x61, 0x80, 0x00, 0x01])).toBe("a\ufffd");
});

test("bytes that are not UTF-8 read as replacement characters", () => {
  expect(read(4, [0xff, 0x41, 0, 0])).toBe("\ufffdA");
  expect(read(300, [0xff, 0x41, 0, 0])).toBe("\ufffdA");
});

test("writing pads with zeros and takes exact bytes too", () => {
  const codec = textArray(6);
  const bytes = new Uint8Array(6).fill(9);
  codec.write(new DataView(bytes.buffer), 0, "é");
  expect([...bytes]).toEqual([0xc3, 0xa9, 0, 0, 0, 0]);
  codec.write(new DataView(bytes.buffer), 0, new Uint8Array([255, 0, 1]) as unknown as string);
  expect([...bytes]).toEqual([255, 0, 1, 0, 0, 0]);
});

test("a text that is too long is refused, one that just fits is not", () => {
  const codec = textArray(4);
  const view = new DataView(new ArrayBuffer(4));
  codec.write(view, 0, "four");
  expect(codec.read(view, 0)).toBe("four");
  expect(() => codec.write(view, 0, "fiver")).toThrow(LayoutError);
  expect(() => codec.write(view, 0, new Uint8Array(5) as unknown as string)).toThrow(LayoutError);
});
