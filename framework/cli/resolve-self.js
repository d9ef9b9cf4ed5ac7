import { existsSync } from "node:fs";

const source = new URL("../index.ts", import.meta.url);
const self = existsSync(source) ? source.href : new URL("../../dist/index.js", import.meta.url).href;

/**
 * A script finds this very package under the name "rxbpf", wherever the script lies. TypeScript files are modules, also in
 * a folder whose package.json does not say so or that has none: they import, and wait at top level.
 */
export async function resolve(specifier, context, next) {
  if (specifier === "rxbpf") return next(self, context);
  const found = await next(specifier, context);
  const isScript = /\.ts(?:\?|$)/.test(found.url) && !found.url.includes("/node_modules/");
  return isScript && found.format === "commonjs" ? { ...found, format: "module" } : found;
}
