const decoder = new TextDecoder();

/** Characters that one call of String.fromCharCode takes without danger for the stack. */
const MOST_AT_ONCE = 4096;

const hasBuffers = typeof Buffer !== "undefined";

/** The same bytes, as what text is read from fastest: a Buffer in Node; browsers have none. */
export function textBytes(bytes: Uint8Array): Uint8Array {
  return hasBuffers ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}

/** UTF-8 between two offsets; several times as fast for what `textBytes` gave. */
export function utf8(bytes: Uint8Array, from: number, to: number): string {
  if (hasBuffers && bytes instanceof Buffer) return bytes.toString("utf8", from, to);
  return decoder.decode(bytes.subarray(from, to));
}

/** The bytes as one character each. */
export function latin1(bytes: Uint8Array): string {
  if (hasBuffers) {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += MOST_AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(at, at + MOST_AT_ONCE));
  }
  return text;
}
