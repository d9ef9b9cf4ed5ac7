import { describe, expect, test } from "vitest";
import { buildIdOf, parseCpuList } from "../../../framework/sys/proc.ts";

describe("parseCpuList", () => {
  test.each([
    ["0\n", [0]],
    ["0-3\n", [0, 1, 2, 3]],
    ["0-1,4,6-7", [0, 1, 4, 6, 7]],
    ["\n", []],
  ])("%j", (text, cpus) => {
    expect(parseCpuList(text)).toEqual(cpus);
  });
});

describe("buildIdOf", () => {
  const note = (name: string, type: number, content: readonly number[]): readonly number[] => {
    const padded = (bytes: readonly number[]): readonly number[] => [
      ...bytes,
      ...new Array<number>((4 - (bytes.length % 4)) % 4).fill(0),
    ];
    const nameBytes = [...Buffer.from(`${name}\0`)];
    const header = new Uint8Array(Uint32Array.of(nameBytes.length, content.length, type).buffer);
    return [...header, ...padded(nameBytes), ...padded(content)];
  };

  test("finds the id behind other notes, whatever their padding", () => {
    const notes = [
      ...note("Linux", 257, [1, 2, 3]),
      ...note("Xen", 3, [9]),
      ...note("GNU", 3, [0xab, 0x01, 0xff]),
    ];
    expect(buildIdOf(Uint8Array.from(notes))).toBe("ab01ff");
  });

  test("gives nothing where there is no such note", () => {
    expect(buildIdOf(Uint8Array.from(note("GNU", 1, [1])))).toBeUndefined();
    expect(buildIdOf(new Uint8Array(0))).toBeUndefined();
  });
});
