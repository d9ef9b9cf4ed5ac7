import { Scope } from "../core/scope.ts";
import type { TraceSource } from "../runtime/types.ts";
import type { Fd } from "../sys/fd.ts";
import { watchReadable } from "../sys/poller.ts";
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
    const stop = watchReadable(this.#fd.number, onReady);
    const owned = { [Symbol.dispose]: stop };
    this.#scope.own(owned);
    return () => {
      this.#scope.disown(owned);
      stop();
    };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
