import type { Observable } from "rxjs";
import { codecOf, type PeriodOptions, type Watched, walkSnapshots, walkStream } from "../../maps/index.ts";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { LayoutError, UsageError } from "../core/errors.ts";
import type { Codec } from "../core/layout.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type { IteratorLink, Link, Program } from "../runtime/types.ts";

/** What one read may bring: the kernel keeps 8 pages of output, and gives at most those. */
const CHUNK_BYTES = 32 << 10;

/**
 * A program that the kernel runs on each object of a kind (Linux 5.8): on every task, on every entry of a table.
 *
 * Every reading is a new walk. What the program writes is text (`bpf_seq_printf`, `BPF_SEQ_PRINTF`), or records of one
 * type (`bpf_seq_write`); the type is found in the source. Disposing detaches, and ends streams.
 */
export class BpfIterator<T = unknown> implements Link, Iterable<T> {
  readonly #link: IteratorLink;
  readonly #type: string | undefined;
  #codec: Codec<T> | undefined;
  readonly #closers = new Set<() => void>();
  readonly #watched: Watched;

  /** @param type the records' type, where the source writes several */
  constructor(link: IteratorLink, type: string | undefined) {
    this.#link = link;
    this.#type = type;
    this.#watched = {
      name: link.program.spec.name,
      onClose: (listener) => {
        this.#closers.add(listener);
        return () => this.#closers.delete(listener);
      },
    };
  }

  get program(): Program {
    return this.#link.program;
  }

  get target(): AttachTarget {
    return this.#link.target;
  }

  get closed(): boolean {
    return this.#link.closed;
  }

  /** All that the program writes in one walk, as UTF-8 text. */
  text(): string {
    return Buffer.concat([...this.#pieces()]).toString("utf8");
  }

  /** All records of one walk. */
  records(): readonly T[] {
    return [...this];
  }

  /** The records of one walk, read as they are asked for. */
  *[Symbol.iterator](): Generator<T, void> {
    const codec = this.#recordCodec();
    let rest: Uint8Array = new Uint8Array(0);
    for (const piece of this.#pieces()) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = 0;
      for (; at + codec.size <= bytes.length; at += codec.size) yield codec.read(view, at);
      rest = bytes.subarray(at);
    }
    if (rest.length > 0) {
      throw new LayoutError(
        `"${this.#watched.name}" ended in ${rest.length} bytes, and its records have ${codec.size}`,
        { hint: "give bpf_seq_write the size of the whole struct, and print no text beside records" },
      );
    }
  }

  /** The records of one walk as a stream; each subscriber walks for itself. */
  events(options: { readonly signal?: AbortSignal } = {}): Observable<T> {
    return walkStream(this.#watched, () => this[Symbol.iterator](), options);
  }

  /** The lines of one walk as a stream, without their ends; each subscriber walks for itself. */
  lines(options: { readonly signal?: AbortSignal } = {}): Observable<string> {
    return walkStream(this.#watched, () => this.#lines(), options);
  }

  /** All records, at once and then every `periodMs`. */
  snapshots(periodMs: number, options: PeriodOptions = {}): Observable<readonly T[]> {
    return walkSnapshots(this.#watched, () => this[Symbol.iterator](), periodMs, options);
  }

  [Symbol.dispose](): void {
    this.#link[Symbol.dispose]();
    for (const close of [...this.#closers]) close();
    this.#closers.clear();
  }

  *#lines(): Generator<string, void> {
    const decoder = new TextDecoder();
    let rest = "";
    for (const piece of this.#pieces()) {
      const parts = (rest + decoder.decode(piece, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
    }
    if (rest !== "") yield rest;
  }

  /** What one walk writes, piece by piece; each is the caller's to keep. */
  *#pieces(): Generator<Uint8Array, void> {
    using walk = this.#link.open();
    for (;;) {
      const piece = new Uint8Array(CHUNK_BYTES);
      const length = walk.read(piece);
      if (length === 0) return;
      yield piece.subarray(0, length);
    }
  }

  #recordCodec(): Codec<T> {
    this.#codec ??= this.#findCodec() as Codec<T>;
    return this.#codec;
  }

  #findCodec(): Codec<unknown> {
    const { btf, recordTypes, name } = this.program.spec;
    if (btf === null || recordTypes.length === 0) {
      throw new UsageError(`"${name}" writes no records`, {
        hint: "write them with bpf_seq_write(ctx->meta->seq, &record, sizeof(record)), or read the text",
      });
    }
    const names = recordTypes.map((id) => btf.describe(id));
    const wanted = this.#type?.replace(/^struct\s+/, "");
    const found =
      wanted === undefined
        ? recordTypes
        : recordTypes.filter((_, index) => names[index]!.replace(/^struct /, "") === wanted);
    if (found.length === 1) return codecOf(btf, found[0]!);
    throw new UsageError(
      wanted === undefined
        ? `"${name}" writes records of several types: ${names.join(", ")}`
        : `"${name}" writes no records of type "${wanted}"`,
      {
        hint:
          wanted === undefined
            ? `say which one all have: { type: ${JSON.stringify(names[0])} }`
            : (didYouMean(nearestNames(wanted, names)) ?? `types are ${names.join(", ")}`),
      },
    );
  }
}
