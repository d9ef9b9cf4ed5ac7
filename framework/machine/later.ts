/** The longest wait that timers take. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Calls an action later: in the next turn of the event loop, or after some milliseconds; "forever" never calls it and
 * only keeps the process alive. Returns how to cancel. Works in browsers, which lack setImmediate.
 */
export function setTimer(action: () => void, when: "soon" | "forever" | number): () => void {
  if (when === "soon" && typeof setImmediate === "function") {
    const handle = setImmediate(action);
    return () => clearImmediate(handle);
  }
  if (when === "forever") {
    const handle = setInterval(action, LONGEST_MS);
    return () => clearInterval(handle);
  }
  const handle = setTimeout(action, when === "soon" ? 0 : Math.min(when, LONGEST_MS));
  return () => clearTimeout(handle);
}
