#!/usr/bin/env node
// Starts the command from its sources in a checkout, from compiled files in an installed package.
import { existsSync } from "node:fs";
import { register } from "node:module";

const source = new URL("./main.ts", import.meta.url);
if (existsSync(source)) {
  const { register: registerTypeScript } = await import("tsx/esm/api");
  registerTypeScript();
}
register("./resolve-self.js", import.meta.url);
const { main } = await import(existsSync(source) ? "./main.ts" : "./main.js");
process.exitCode = await main(process.argv.slice(2));
