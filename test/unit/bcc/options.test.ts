import { describe, expect, test } from "vitest";
import { checkOptions } from "../../../framework/bcc/options.ts";
import { UsageError } from "../../../framework/core/errors.ts";

const TYPES = { event: "string", offset: "number?", flags: "strings?", signal: "signal?" } as const;

function refused(options: unknown): { readonly message: string; readonly hint: string | undefined } {
  try {
    checkOptions("attach", options as object, TYPES);
  } catch (error) {
    if (error instanceof UsageError) return { message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("the options were taken");
}

describe("options", () => {
  test.each([
    { event: "x" },
    { event: "", offset: 0, flags: [], signal: new AbortController().signal },
    { event: "x", offset: undefined },
  ])("%o are taken", (options) => {
    expect(() => checkOptions("attach", options, TYPES)).not.toThrow();
  });

  test("an unknown name is refused with the nearest one, or with all", () => {
    expect(refused({ event: "x", ofset: 1 })).toEqual({
      message: 'attach: unknown option "ofset"',
      hint: "did you mean offset?",
    });
    expect(refused({ event: "x", banana: 1 }).hint).toBe("options are event, offset, flags, signal");
  });

  test("a needed option that is left out or undefined is refused", () => {
    expect(refused({ offset: 1 }).message).toBe('attach: "event" is missing');
    expect(refused({ event: undefined }).message).toBe('attach: "event" is missing');
  });

  test.each([
    [{ event: 1 }, 'attach: "event" must be a string, not 1'],
    [{ event: null }, 'attach: "event" must be a string, not null'],
    [{ event: "x", offset: "1" }, 'attach: "offset" must be a number, not "1"'],
    [{ event: "x", flags: "-D" }, 'attach: "flags" must be an array of strings, not "-D"'],
    [{ event: "x", flags: ["-D", 1] }, 'attach: "flags" must be an array of strings, not an array of 2'],
    [{ event: "x", signal: {} }, 'attach: "signal" must be an AbortSignal, not [object Object]'],
  ])("%o is refused: %s", (options, message) => {
    expect(refused(options).message).toBe(message);
  });

  test.each([undefined, null, "x", 5])("%o instead of an object is refused", (options) => {
    expect(refused(options).message).toBe(
      `attach takes its options as one object, not ${typeof options === "string" ? '"x"' : options}`,
    );
  });
});
