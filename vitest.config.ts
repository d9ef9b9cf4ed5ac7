import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
// The longer name first: an alias also stands for what begins with it.
const resolve = {
  alias: { "rxbpf/machine": source("framework/machine/index.ts"), rxbpf: source("framework/index.ts") },
};

// Tests that load programs share one kernel and one trace pipe, so their files run one after another.
const oneAtATime = { fileParallelism: false, sequence: { concurrent: false } } as const;

export default defineConfig({
  resolve,
  test: {
    projects: [
      { resolve, test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 20_000 } },
      {
        resolve,
        test: {
          name: "kernel",
          include: ["test/kernel/**/*.test.ts", "test/conformance/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          ...oneAtATime,
        },
      },
      {
        resolve,
        test: {
          name: "examples",
          include: ["test/examples/**/*.test.ts"],
          testTimeout: 60_000,
          ...oneAtATime,
        },
      },
    ],
  },
});
