import { createRequire } from "node:module";

type Rx = typeof import("rxjs");

let loaded: Rx | undefined;

/**
 * rxjs, loaded when the first stream is made: it takes longer to load than all of this library, and scripts that read
 * tables and callbacks never need it. Node gives `import` and `require` the same copy, so Observables are the user's.
 */
export function rx(): Rx {
  loaded ??= createRequire(import.meta.url)("rxjs") as Rx;
  return loaded;
}
