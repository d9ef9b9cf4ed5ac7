import { existsSync } from "node:fs";

const source = new URL("../index.ts", import.meta.url);
const self = existsSync(source) ? source.href : new URL("../index.js", import.meta.url).href;

/** A script finds this very package under the name "rxbpf", wherever the script lies. */
export function resolve(specifier, context, next) {
  return next(specifier === "rxbpf" ? self : specifier, context);
}
