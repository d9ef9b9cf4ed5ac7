import { UsageError } from "../core/errors.ts";
import { foreground } from "./foreground.ts";

/** The longest delay a timer takes, in milliseconds; it keeps the process alive as well. */
const FOR_EVER = 2 ** 31 - 1;

/** When to stop. */
export interface StopOptions {
  /** Stop by itself after so long, as a number or as a command line gives it; never when left out. */
  readonly seconds?: number | string | undefined;
}

/**
 * A signal that aborts on Ctrl-C, on SIGTERM or after a time: for scripts that run until somebody has seen enough.
 *
 * Under `rxbpf run SCRIPT -- COMMAND` it also aborts when the command has ended, and Ctrl-C is the command's.
 *
 * While it waits it keeps the process alive; once aborted it leaves nothing behind, and a second Ctrl-C ends the
 * process as usual. Importing it changes nothing: only a call installs handlers.
 */
export function stopSignal({ seconds }: StopOptions = {}): AbortSignal {
  const limit = seconds === undefined ? FOR_EVER : Number(seconds) * 1000;
  if (!(limit >= 0 && limit <= FOR_EVER))
    throw new UsageError(`"seconds" must be a number from 0 on, not ${seconds}`);
  const controller = new AbortController();
  const stop = (): void => {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", stop);
    clearTimeout(timer);
    controller.abort();
  };
  const interrupted = (): void => {
    if (!foreground.holdsTerminal) stop();
  };
  foreground.onEnd(stop);
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", stop);
  const timer = setTimeout(stop, limit);
  return controller.signal;
}

/** Resolves when a signal aborts; at once when it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
