import type { AttachTarget } from "../programs/targets.ts";
import type { Link, Program } from "../runtime/types.ts";

/** Several attachments of one function that were asked for together: disposing it detaches all. */
export class LinkGroup implements Link {
  readonly program: Program;
  readonly target: AttachTarget;
  readonly #links: readonly Link[];

  /** @param links at least one */
  constructor(target: AttachTarget, links: readonly [Link, ...Link[]]) {
    this.program = links[0].program;
    this.target = target;
    this.#links = links;
  }

  get closed(): boolean {
    return this.#links.every((link) => link.closed);
  }

  [Symbol.dispose](): void {
    for (const link of this.#links) link[Symbol.dispose]();
  }
}

/**
 * Makes several links; when one fails, those made before it are disposed again.
 *
 * @param makers at least one
 */
export function linkAll(target: AttachTarget, makers: readonly (() => Link)[]): LinkGroup {
  const links: Link[] = [];
  try {
    for (const make of makers) links.push(make());
  } catch (error) {
    for (const link of links.reverse()) link[Symbol.dispose]();
    throw error;
  }
  return new LinkGroup(target, links as [Link, ...Link[]]);
}
