#!/usr/bin/env node
// Starts the command: from its sources in a checkout, from compiled files in an installed package. Scripts are
// TypeScript either way.
import { existsSync } from "node:fs";
import { register } from "node:module";
import { register as registerTypeScript } from "tsx/esm/api";

const source = new URL("./main.ts", import.meta.url);
registerTypeScript();
register("./resolve-self.js", import.meta.url);
const { main } = await import(
  existsSync(source) ? source.href : new URL("../../dist/main.js", import.meta.url).href
);
process.exitCode = await main(process.argv.slice(2));
