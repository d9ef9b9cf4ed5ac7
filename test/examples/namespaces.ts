import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { TestContext } from "vitest";

/** Lets a test run only where namespaces can be made; otherwise it is skipped, or fails with REQUIRE=kernel. */
export function needsNamespaces(context: TestContext): void {
  const missing = ["ip", "nsenter", "unshare"].filter(
    (command) => spawnSync(command, ["-V"]).error !== undefined,
  );
  if (missing.length === 0) return;
  const reason = `network namespaces need ${missing.join(", ")} (packages iproute2, util-linux)`;
  if (process.env["REQUIRE"] === "kernel") throw new Error(`REQUIRE=kernel, and ${reason}`);
  context.skip(reason);
}

/** A network namespace that lives as long as the process that holds it. */
class Namespace implements Disposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(): Promise<Namespace> {
    const own = readlinkSync("/proc/self/ns/net");
    const holder = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
    for (let tries = 0; tries < 400; tries++) {
      if (holder.pid !== undefined && readlinkSync(`/proc/${holder.pid}/ns/net`) !== own)
        return new Namespace(holder);
      await delay(10);
    }
    throw new Error("unshare made no network namespace");
  }

  get pid(): number {
    return this.#holder.pid!;
  }

  /** Words that run a command inside. */
  inside(...command: readonly string[]): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, ...command];
  }

  run(...command: readonly string[]): string {
    const [program = "", ...args] = this.inside(...command);
    return execFileSync(program, args, { encoding: "utf8" });
  }

  [Symbol.dispose](): void {
    this.#holder.kill("SIGKILL");
  }
}

const SEND = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.send("hello", 9, "10.98.0.1", () => socket.close());
`;

/** Two machines with a cable between them: a veth pair whose ends lie in two namespaces. */
export class Cable implements Disposable {
  /** The near end's device, in the near namespace. */
  readonly device = "rxnear";
  readonly near: Namespace;
  readonly #far: Namespace;

  private constructor(near: Namespace, far: Namespace) {
    this.near = near;
    this.#far = far;
  }

  static async make(): Promise<Cable> {
    const cable = new Cable(await Namespace.make(), await Namespace.make());
    const { near, device } = cable;
    near.run(
      "ip",
      "link",
      "add",
      device,
      "type",
      "veth",
      "peer",
      "name",
      "rxfar",
      "netns",
      `${cable.#far.pid}`,
    );
    near.run("ip", "addr", "add", "10.98.0.1/24", "dev", device);
    near.run("ip", "link", "set", device, "up");
    cable.#far.run("ip", "addr", "add", "10.98.0.2/24", "dev", "rxfar");
    cable.#far.run("ip", "link", "set", "rxfar", "up");
    return cable;
  }

  /** Sends a datagram from the far end to the near one. */
  send(): void {
    this.#far.run(process.execPath, "-e", SEND);
  }

  /** Whether an XDP program is on the near device. */
  get hasXdp(): boolean {
    return this.near.run("ip", "link", "show", "dev", this.device).includes("xdp");
  }

  [Symbol.dispose](): void {
    this.near[Symbol.dispose]();
    this.#far[Symbol.dispose]();
  }
}
