import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { BPF, RewriteError } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure } from "./open.ts";

const folder = mkdtempSync(join(tmpdir(), "rxbpf-bytes-"));
const path = join(folder, "latin.c");
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach((context) => needsKernel(context));

function openLatin(text: string): BPF {
  writeFileSync(path, Buffer.from(text, "latin1"));
  return new BPF({ src_file: path, runtime: "kernel" });
}

test("letters of another encoding do no harm in comments", () => {
  using b = openLatin("/* Caf\u00e9 */ BPF_HASH(counts, u32); // \u00fc\nint f(void *ctx) { return 0; }\n");
  expect([...b.get_table("counts").keys()]).toEqual([]);
});

test("letters of another encoding in a text are refused at their line, for their bytes would be others", () => {
  const error = failure(RewriteError, () =>
    openLatin(
      'BPF_HASH(counts, u32);\nint f(void *ctx) {\n  char name[] = "caf\u00e9";\n  return name[0];\n}\n',
    ),
  );
  expect(error.diagnostics).toMatchObject([{ code: "NOT_UTF8", line: 3, column: 21 }]);
});
