import { LayoutError } from "../../framework/core/errors.ts";
import { type Codec, chars, show } from "../../framework/core/layout.ts";

/** Arrays longer than this are decoded afresh each time: their texts repeat less and cost more to compare. */
const longestRemembered = 256;
/** TASK_COMM_LEN: what `bpf_get_current_comm` fills. */
const commandLength = 16;
/** Bytes of remembered texts per array length. */
const memoryBytes = 32768;

/**
 * `char[length]`: UTF-8 up to the first NUL.
 *
 * Command names and paths repeat from event to event, and making a string costs more than everything else about an
 * event. So the last texts are remembered, each in the slot its words hash to; a text seen again costs a comparison of
 * words. Bytes that are not UTF-8 read as U+FFFD; writing takes a Uint8Array too, for keys that must have exact bytes.
 */
export function textArray(length: number): Codec<string> {
  const plain = chars(length);
  let reader: ((view: DataView, at: number) => string) | undefined;
  return {
    size: length,
    align: 1,
    read(view, at) {
      reader ??= readerFor(length);
      return reader(view, at);
    },
    write(view, at, value: string | Uint8Array) {
      if (!(value instanceof Uint8Array)) return plain.write(view, at, value);
      if (value.length > length) {
        throw new LayoutError(
          `must be a string or Uint8Array of at most ${length} bytes, not ${show(value)}`,
        );
      }
      const target = new Uint8Array(view.buffer, view.byteOffset + at, length);
      target.fill(0);
      target.set(value);
    },
  };
}

function readerFor(length: number): (view: DataView, at: number) => string {
  if (length > longestRemembered) return freshReader(length);
  const reader = rememberingReader(length);
  return length === commandLength ? repeatingReader(reader) : reader;
}

/**
 * For command names: most events come from the command that the last one came from, and four equal words are the same
 * text, whatever stands behind its NUL.
 */
function repeatingReader(
  reader: (view: DataView, at: number) => string,
): (view: DataView, at: number) => string {
  let first = 0;
  let second = 0;
  let third = 0;
  let fourth = 0;
  let text = "";
  return (view, at) => {
    const isSame =
      view.getInt32(at, true) === first &&
      view.getInt32(at + 4, true) === second &&
      view.getInt32(at + 8, true) === third &&
      view.getInt32(at + 12, true) === fourth;
    if (isSame) return text;
    text = reader(view, at);
    first = view.getInt32(at, true);
    second = view.getInt32(at + 4, true);
    third = view.getInt32(at + 8, true);
    fourth = view.getInt32(at + 12, true);
    return text;
  };
}

function rememberingReader(length: number): (view: DataView, at: number) => string {
  const whole = length >> 2;
  const rest = length & 3;
  const most = Math.ceil(length / 4);
  const slots = Math.min(512, 2 ** Math.floor(Math.log2(memoryBytes / (4 * Math.max(1, most)))));
  const words = new Int32Array(slots * most);
  const texts: (string | undefined)[] = new Array(slots).fill(undefined);
  const scratch = new Int32Array(most);
  const bytes = Buffer.from(scratch.buffer);

  return (view, at) => {
    let hash = 0;
    let count = 0;
    let end = false;
    while (count < whole) {
      let word = view.getInt32(at + (count << 2), true);
      const zeros = (word - 0x01010101) & ~word & 0x80808080;
      if (zeros !== 0) {
        // The lowest marked byte is the first NUL; what follows it may be left-overs and must not count.
        word &= (zeros & -zeros) - 1;
        end = true;
      }
      scratch[count++] = word;
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
      if (end) break;
    }
    if (!end && rest !== 0) {
      let word = 0;
      for (let i = 0; i < rest; i++) {
        const byte = view.getUint8(at + (whole << 2) + i);
        if (byte === 0) break;
        word |= byte << (i * 8);
      }
      scratch[count++] = word;
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const slot = hash & (slots - 1);
    const base = slot * most;
    const known = texts[slot];
    if (known !== undefined) {
      let i = 0;
      while (i < count && words[base + i] === scratch[i]) i++;
      // All words read so far include the NUL, or the whole array: nothing after them can differ.
      if (i === count) return known;
    }
    const nul = bytes.subarray(0, count * 4).indexOf(0);
    const text = bytes.toString("utf8", 0, Math.min(length, nul < 0 ? count * 4 : nul));
    for (let i = 0; i < most; i++) words[base + i] = i < count ? scratch[i]! : 0;
    texts[slot] = text;
    return text;
  };
}

function freshReader(length: number): (view: DataView, at: number) => string {
  return (view, at) => {
    const bytes = Buffer.from(view.buffer, view.byteOffset + at, length);
    const end = bytes.indexOf(0);
    return bytes.toString("utf8", 0, end < 0 ? length : end);
  };
}
