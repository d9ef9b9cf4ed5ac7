import { Scope } from "../core/scope.ts";
import type { TraceSource } from "../runtime/types.ts";
import type { Fd } from "../sys/fd.ts";
import { watchWithin } from "../sys/poller.ts";
import { openTracePipe, readNow } from "../sys/tracefs.ts";

/** Most bytes that one `read` takes; what is left makes the watcher call again. */
const READ_BYTES = 64 * 1024;

/** The system-wide trace pipe, without waiting. */
export class TracePipe implements TraceSource {
  readonly #scope = new Scope("the trace pipe");
  readonly #fd: Fd;
  readonly #bytes = new Uint8Array(READ_BYTES);
  readonly #decoder = new TextDecoder();

  /** @throws PermissionError or UnsupportedError when tracefs is out of reach */
  constructor() {
    this.#fd = this.#scope.own(openTracePipe());
  }

  read(): string {
    const length = readNow(this.#fd, this.#bytes);
    return this.#decoder.decode(this.#bytes.subarray(0, length), { stream: true });
  }

  watch(onReady: () => void): () => void {
    return watchWithin(this.#scope, this.#fd.number, onReady);
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
