import { errno } from "../errno.ts";

/** Gives what conversions ask for. A text here is bytes: each of its characters is one. */
export interface FormatSource {
  /** The next argument, unsigned; undefined when there is none left. */
  next(): bigint | undefined;
  /** The text at an address of the kernel or of the process; undefined when it cannot be read. */
  text(address: bigint, user: boolean): string | undefined;
  /** Bytes at an address. */
  bytes(address: bigint, size: number): Uint8Array | undefined;
}

/**
 * Conversions that bpf_trace_printk, bpf_snprintf and their relatives know, with flags and width
 * (bpf_bprintf_prepare): behind a text or a plain pointer stands a blank, a sign or nothing.
 */
const CONVERSION =
  /%(?:%|([-+ 0]*)([1-9]\d*)?(?:(p[ku]s(?![^\s!-/:-@[-`{-~])|p[KxsSB]|p[iI][46]|p(?![^\s!-/:-@[-`{-~]))|(s(?![^\s!-/:-@[-`{-~])|c)|(l{0,2})([diuxX])))/y;

/** Conversions of pointers that print a number. */
const ADDRESS = /^p[Kx]?$/;

/** What a format may be made of: what can be printed, and blanks. */
const PRINTABLE = /^[\t-\r -~]*$/;

/**
 * The text that a format and its arguments make, as lib/vsprintf.c spells it, or an error: EINVAL for a conversion that
 * programs cannot use, or for too few arguments.
 */
export function format(text: string, source: FormatSource): string | number {
  if (!PRINTABLE.test(text)) return errno.EINVAL;
  let out = "";
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf("%", at);
    if (next < 0) return out + text.slice(at);
    out += text.slice(at, next);
    CONVERSION.lastIndex = next;
    const match = CONVERSION.exec(text);
    if (match === null) return errno.EINVAL;
    at = CONVERSION.lastIndex;
    if (match[0] === "%%") {
      out += "%";
      continue;
    }
    const value = source.next();
    if (value === undefined) return errno.EINVAL;
    const [, flags = "", width = "", pointer, symbol, longs, letter] = match;
    const shown =
      pointer !== undefined
        ? point(value, pointer, width, source)
        : letter === undefined
          ? characters(value, symbol!, source)
          : number(value, letter, longs === "" ? 32 : 64, flags);
    out += pad(shown, Number(width), flags, letter !== undefined || ADDRESS.test(pointer ?? ""));
  }
  return out;
}

function characters(value: bigint, letter: string, source: FormatSource): string {
  return letter === "c" ? String.fromCharCode(Number(value & 0xffn)) : (source.text(value, false) ?? "");
}

function number(value: bigint, letter: string, bits: 32 | 64, flags: string): string {
  if (letter === "u") return String(BigInt.asUintN(bits, value));
  if (letter === "d" || letter === "i") {
    const signed = BigInt.asIntN(bits, value);
    const sign = signed < 0n ? "" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
    return sign + signed;
  }
  const digits = BigInt.asUintN(bits, value).toString(16);
  return letter === "X" ? digits.toUpperCase() : digits;
}

function point(value: bigint, kind: string, width: string, source: FormatSource): string {
  switch (kind) {
    case "pks":
      return source.text(value, false) ?? "";
    case "pus":
      return source.text(value, true) ?? "";
    case "pi4":
    case "pI4": {
      const bytes = source.bytes(value, 4);
      return bytes === undefined
        ? ""
        : [...bytes].map((byte) => (kind === "pi4" ? String(byte).padStart(3, "0") : byte)).join(".");
    }
    case "pi6":
    case "pI6": {
      const bytes = source.bytes(value, 16);
      const hex = bytes === undefined ? [] : [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
      const pairs = hex.flatMap((byte, index) => (index % 2 === 0 ? [byte + hex[index + 1]!] : []));
      return pairs.join(kind === "pI6" ? ":" : "");
    }
    case "pS":
    case "ps":
    case "pB":
      return `0x${value.toString(16)}`;
    default:
      // As wide as an address, unless the format says how wide.
      return value.toString(16).padStart(width === "" ? 16 : 0, "0");
  }
}

function pad(text: string, width: number, flags: string, isNumber: boolean): string {
  if (text.length >= width) return text;
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0") || !isNumber) return text.padStart(width);
  const sign = /^[-+ ]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}
