import type { Scope } from "../core/scope.ts";
import { whenReadable } from "./libc.ts";

/** Keeps the native handles from being collected while they are watched. */
const watchers = new Set<() => void>();

/** How many descriptors are watched now. */
export function watcherCount(): number {
  return watchers.size;
}

/**
 * Calls `onReady` whenever a descriptor is readable, until the returned function is called.
 *
 * Level-triggered: what a callback leaves unread makes it run again. Descriptors join the event loop that Node already
 * has, so nothing waits in a thread, and the process stays alive exactly while something is watched. The callback runs
 * as an immediate: promises it settles and errors it throws behave as anywhere else. Stop before closing the
 * descriptor.
 */
export function watchReadable(fd: number, onReady: () => void): () => void {
  return watch(fd, onReady, true);
}

/** The same watch for news that are not worth staying alive for. */
export function watchQuietly(fd: number, onReady: () => void): () => void {
  return watch(fd, onReady, false);
}

function watch(fd: number, onReady: () => void, keepAlive: boolean): () => void {
  let scheduled: NodeJS.Immediate | undefined;
  const onEvent = (): void => {
    scheduled ??= setImmediate(() => {
      scheduled = undefined;
      onReady();
    });
  };
  const close = whenReadable(fd, onEvent, keepAlive);
  const stop = (): void => {
    if (!watchers.delete(stop)) return;
    clearImmediate(scheduled);
    close();
  };
  watchers.add(stop);
  return stop;
}

/** The same watch, which also ends with the scope: for readers that own what they watch. */
export function watchWithin(scope: Scope, fd: number, onReady: () => void): () => void {
  const stop = watchReadable(fd, onReady);
  const owned = { [Symbol.dispose]: stop };
  scope.own(owned);
  return () => {
    scope.disown(owned);
    stop();
  };
}
