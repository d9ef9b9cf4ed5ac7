import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";

/** How a command ended that ran in a cgroup. */
export interface Ended {
  readonly status: number | null;
  readonly output: string;
}

/** A cgroup of a test's own, without processes; disposing it removes it. */
export class OwnCgroup implements Disposable {
  readonly folder = join(hierarchy(), `rxbpf-test-${process.pid}`);

  constructor() {
    mkdirSync(this.folder);
  }

  /** Runs a command as the only process of the cgroup. */
  run(...command: readonly string[]): Ended {
    const { status, stdout, stderr } = spawnSync("sh", this.#entering(command), { encoding: "utf8" });
    return { status, output: `${stdout}${stderr}` };
  }

  /** Starts a command in the cgroup, which must end before the cgroup is disposed. */
  start(...command: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn("sh", this.#entering(command));
  }

  #entering(command: readonly string[]): string[] {
    return ["-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.folder, ...command];
  }

  [Symbol.dispose](): void {
    rmdirSync(this.folder);
  }
}

/** Where the second version's hierarchy is mounted: alone, or beside the first version's. */
function hierarchy(): string {
  const mounts = readFileSync("/proc/mounts", "latin1").split("\n");
  const place = mounts.map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2")?.[1];
  if (place === undefined) throw new Error("no cgroup2 is mounted");
  return place;
}
