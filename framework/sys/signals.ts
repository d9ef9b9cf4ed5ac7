import { withArena } from "./arena.ts";
import { processCalls } from "./libc.ts";

/** Of a `sigset_t`, on any libc. */
export const SIGSET_BYTES = 128;

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;

/** Does something that no signal interrupts: those that come to this thread meanwhile wait until it is done. */
export function withoutSignals<T>(work: () => T): T {
  return withArena((arena) => {
    const all = arena.out(SIGSET_BYTES);
    const before = arena.out(SIGSET_BYTES);
    all.bytes.fill(0xff);
    const { pthread_sigmask: setMask } = processCalls();
    setMask(SIG_BLOCK, Number(all.address), Number(before.address));
    try {
      return work();
    } finally {
      setMask(SIG_SETMASK, Number(before.address), 0);
    }
  });
}
