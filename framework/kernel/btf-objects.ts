import type { Btf } from "../object/btf.ts";
import { withArena } from "../sys/arena.ts";
import { bpf, errnoOf } from "../sys/bpf.ts";
import { Fd } from "../sys/fd.ts";
import { btfLoad } from "../uapi/bpf-attr.ts";

/**
 * Types loaded into the kernel, once per `Btf`. Owns the descriptors; maps and programs keep the types alive by
 * themselves, so disposing breaks nothing.
 */
export class BtfObjects implements Disposable {
  readonly #loaded = new Map<Btf, Fd | null>();

  /**
   * The descriptor of the types, or null when this kernel does not take them: it has no BTF (before 4.18), or does not
   * know a kind of type in it. Types serve readers of maps and better logs; only storage maps insist on them.
   */
  descriptor(btf: Btf): number | null {
    let fd = this.#loaded.get(btf);
    if (fd === undefined) {
      fd = load(btf);
      this.#loaded.set(btf, fd);
    }
    return fd === null ? null : fd.number;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#loaded.values()) fd?.[Symbol.dispose]();
    this.#loaded.clear();
  }
}

function load(btf: Btf): Fd | null {
  return withArena((arena) => {
    try {
      const number = bpf("BPF_BTF_LOAD", btfLoad, { btf: arena.in(btf.bytes), btf_size: btf.bytes.length });
      return new Fd(number, "BTF");
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return null;
    }
  });
}
