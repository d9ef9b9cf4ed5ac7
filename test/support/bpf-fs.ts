import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A BPF file system of the test's own; disposing it drops everything that is pinned there. */
export interface BpfFs extends Disposable {
  readonly folder: string;
}

/** Mounts one on a new folder. */
export function mountBpfFs(): BpfFs {
  const folder = mkdtempSync(join(tmpdir(), "rxbpf-fs-"));
  execFileSync("mount", ["-t", "bpf", "bpf", folder]);
  return {
    folder,
    [Symbol.dispose]() {
      execFileSync("umount", [folder]);
      rmdirSync(folder);
    },
  };
}
