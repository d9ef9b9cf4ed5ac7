import { ClosedError } from "./errors.ts";

/**
 * Owns resources and disposes them in reverse order of adding.
 *
 * Every resource is tried even when one fails; failures come out together as one AggregateError. Disposing twice is
 * harmless. A resource that was disposed earlier by its user is disposed again, so resources must allow that.
 */
export class Scope implements Disposable {
  readonly #what: string;
  #resources: Disposable[] = [];
  #closed = false;

  /** @param what names the owner in ClosedError, for instance "this BPF object" */
  constructor(what: string) {
    this.#what = what;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Takes ownership and returns the resource, so that creation and ownership are one statement. */
  own<T extends Disposable>(resource: T): T {
    if (this.#closed) {
      resource[Symbol.dispose]();
      throw new ClosedError(`${this.#what} was closed`);
    }
    this.#resources.push(resource);
    return resource;
  }

  /** Runs a function at disposal. */
  defer(action: () => void): void {
    this.own({ [Symbol.dispose]: once(action) });
  }

  /** Forgets a resource that its user disposed, so that long-lived scopes do not grow. */
  disown(resource: Disposable): void {
    const at = this.#resources.lastIndexOf(resource);
    if (at >= 0) this.#resources.splice(at, 1);
  }

  /** Hands all resources to another scope: for building inside a local scope and keeping it on success. */
  moveTo(other: Scope): void {
    const moved = this.#resources;
    this.#resources = [];
    for (const resource of moved) other.own(resource);
  }

  /** @throws ClosedError after disposal */
  assertOpen(): void {
    if (this.#closed) throw new ClosedError(`${this.#what} was closed`);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    const failures: unknown[] = [];
    // Taken away first: a resource that ends another may disown it meanwhile.
    const resources = this.#resources;
    this.#resources = [];
    for (const resource of resources.reverse()) {
      try {
        resource[Symbol.dispose]();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1)
      throw new AggregateError(failures, `closing ${this.#what} failed in ${failures.length} places`);
  }
}

/** The action, at most one time. */
export function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    action();
  };
}
