import { describe, expect, test } from "vitest";
import { changeIn } from "../../../framework/sys/cpu-watch.ts";
import {
  attribute32,
  attributeText,
  decodeAttributes,
  encodeAttributes,
  textOf,
} from "../../../framework/sys/netlink.ts";

describe("netlink attributes", () => {
  test("begin at multiples of four, and their lengths leave the padding out", () => {
    const bytes = encodeAttributes([
      [1, attributeText("clsact")],
      [6, attribute32(0xfffffff1)],
    ]);
    // 4 bytes of header and "clsact\0", padded to 12; then 8.
    expect(bytes.length).toBe(20);
    expect([...bytes.subarray(0, 4)]).toEqual([11, 0, 1, 0]);
    expect([...bytes.subarray(11)]).toEqual([0, 8, 0, 6, 0, 0xf1, 0xff, 0xff, 0xff]);
  });

  test("come out as they went in, nested ones too, without the bit that says nested", () => {
    const inner = [
      [1, attribute32(7)],
      [3, attribute32(2)],
    ] as const;
    const outer = decodeAttributes(encodeAttributes([[43, inner]]));
    expect([...outer.keys()]).toEqual([43]);
    const found = decodeAttributes(outer.get(43)!);
    expect([...found].map(([type, bytes]) => [type, bytes[0]])).toEqual([
      [1, 7],
      [3, 2],
    ]);
  });

  test("that are damaged end the list, and never reach past it", () => {
    const whole = encodeAttributes([
      [1, attribute32(5)],
      [2, attribute32(6)],
    ]);
    for (let length = 0; length <= whole.length; length++) {
      const types = [...decodeAttributes(whole.subarray(0, length)).keys()];
      expect([1, 2].slice(0, types.length)).toEqual(types);
    }
    const zero = Uint8Array.of(0, 0, 1, 0, 8, 0, 2, 0, 1, 2, 3, 4);
    expect(decodeAttributes(zero).size).toBe(0);
  });

  test("texts end at their NUL, and an absent one is empty", () => {
    expect(textOf(attributeText("rxbpf:f"))).toBe("rxbpf:f");
    expect(textOf(Uint8Array.of(97, 0, 98))).toBe("a");
    expect(textOf(undefined)).toBe("");
  });
});

describe("the kernel's news", () => {
  const event = (path: string, action: string): string =>
    `${action}@${path}\0ACTION=${action}\0DEVPATH=${path}\0SUBSYSTEM=cpu\0SEQNUM=1\0`;

  test("of a CPU tell which one, and whether it came or went", () => {
    expect(changeIn(event("/devices/system/cpu/cpu1", "offline"))).toEqual({ cpu: 1, isOnline: false });
    expect(changeIn(event("/devices/system/cpu/cpu12", "online"))).toEqual({ cpu: 12, isOnline: true });
  });

  test.each([
    event("/devices/system/cpu/cpu1", "add"),
    event("/devices/system/memory/memory1", "online"),
    event("/devices/system/cpu/cpu1/cache", "online"),
    event("/devices/system/cpu/cpux", "online"),
    "libudev\0",
    "",
  ])("of anything else are none", (text) => {
    expect(changeIn(text)).toBeUndefined();
  });
});
