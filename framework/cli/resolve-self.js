import { existsSync } from "node:fs";

const isCheckout = existsSync(new URL("../index.ts", import.meta.url));

/** What the package exports, here: the sources in a checkout, else what was built. */
const own = new Map(
  [
    ["rxbpf", "../index.ts", "../../dist/index.js"],
    ["rxbpf/machine", "../machine/index.ts", "../../dist/machine.js"],
  ].map(([name, source, built]) => [name, new URL(isCheckout ? source : built, import.meta.url).href]),
);

/**
 * A script finds this very package under the name "rxbpf", wherever the script lies. TypeScript files are modules, also in
 * a folder whose package.json does not say so or that has none: they import, and wait at top level.
 */
export async function resolve(specifier, context, next) {
  const self = own.get(specifier);
  if (self !== undefined) return next(self, context);
  const found = await next(specifier, context);
  const isScript = /\.ts(?:\?|$)/.test(found.url) && !found.url.includes("/node_modules/");
  return isScript && found.format === "commonjs" ? { ...found, format: "module" } : found;
}
