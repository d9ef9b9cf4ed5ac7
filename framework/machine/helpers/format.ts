import { errno } from "../errno.ts";

/** Gives what conversions ask for. */
export interface FormatSource {
  /** The next argument, unsigned; undefined when there is none left. */
  next(): bigint | undefined;
  /** The text at an address of the kernel or of the process; undefined when it cannot be read. */
  text(address: bigint, user: boolean): string | undefined;
  /** Bytes at an address. */
  bytes(address: bigint, size: number): Uint8Array | undefined;
}

/** Conversions that bpf_trace_printk, bpf_snprintf and their relatives know, with flags and width. */
const CONVERSION =
  /%(?:%|([-+ 0#]*)(\d*)(?:(pks|pus|pK|px|pB|pS|ps|pi4|pI4|pi6|pI6|p)|(ll|l|hh|h|z)?([diuxXcs])))/y;

/**
 * The text that a format and its arguments make, as lib/vsprintf.c spells it, or an error: EINVAL for a conversion that
 * programs cannot use, or for too few arguments.
 */
export function format(text: string, source: FormatSource): string | number {
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
    const [, flags = "", width = "", pointer, length, letter] = match;
    const shown =
      pointer === undefined ? plain(value, letter!, length, flags, source) : point(value, pointer, source);
    out += pad(shown, Number(width), flags, letter ?? "");
  }
  return out;
}

function plain(
  value: bigint,
  letter: string,
  length: string | undefined,
  flags: string,
  source: FormatSource,
): string {
  const bits = length === undefined ? 32 : length === "h" ? 16 : length === "hh" ? 8 : 64;
  switch (letter) {
    case "s":
      return source.text(value, false) ?? "";
    case "c":
      return String.fromCharCode(Number(value & 0xffn));
    case "d":
    case "i": {
      const number = BigInt.asIntN(bits, value);
      return number >= 0n && flags.includes("+") ? `+${number}` : String(number);
    }
    case "u":
      return String(BigInt.asUintN(bits, value));
    default: {
      const digits = BigInt.asUintN(bits, value).toString(16);
      const spelled = letter === "X" ? digits.toUpperCase() : digits;
      return flags.includes("#") ? `0${letter}${spelled}` : spelled;
    }
  }
}

function point(value: bigint, kind: string, source: FormatSource): string {
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
      return value.toString(16).padStart(16, "0");
  }
}

function pad(text: string, width: number, flags: string, letter: string): string {
  if (text.length >= width) return text;
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0") || letter === "s" || letter === "c") return text.padStart(width);
  const sign = /^[-+]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}
