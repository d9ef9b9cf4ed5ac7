import { LayoutError } from "../../framework/core/errors.ts";

/** Where inside a value each error happened, so that outer levels can put their own step before it. */
const places = new WeakMap<LayoutError, { readonly path: string; readonly reason: string }>();

/**
 * The error as seen one level further out: `must be …` becomes `field "pid" must be …`, and that becomes
 * `field "task.pid" must be …`. Errors other than LayoutError pass unchanged.
 *
 * @param step a field's name, or an index such as `[2]`
 */
export function atField(step: string, error: unknown): unknown {
  if (!(error instanceof LayoutError)) return error;
  const inner = places.get(error) ?? { path: "", reason: error.message };
  const joint = inner.path === "" || inner.path.startsWith("[") ? "" : ".";
  const path = `${step}${joint}${inner.path}`;
  const outer = new LayoutError(`field "${path}" ${inner.reason}`, { hint: error.hint, cause: error.cause });
  places.set(outer, { path, reason: inner.reason });
  return outer;
}
