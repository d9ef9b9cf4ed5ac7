import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { arch } from "node:os";
import { KernelRuntime } from "../../framework/kernel/kernel-runtime.ts";

/** What a line about a process looks like, by its id and name. */
export type ProcessPattern = (pid: number, name: string) => RegExp;

let made = 0;

/**
 * Harmless processes of the test's own, told from all others by their name and their process ids. The trace pipe is one
 * for the whole system, and a line in it may be somebody else's.
 */
export class OwnProcesses {
  /** What the kernel calls them: at most 15 characters. */
  readonly name = `rx${process.pid}n${made++}`;
  readonly pids: number[] = [];

  /** A shell under this name turns into a program, keeping its process id: an execve by that name. */
  exec(command = "/bin/true"): void {
    this.#shell(`exec ${command}`);
  }

  /** A shell under this name opens a file. */
  open(path = "/etc/passwd"): void {
    this.#shell(`read -r line < ${path}`);
  }

  /** A process of a user starts another program. */
  execAs(uid: number): void {
    this.pids.push(spawnSync("/bin/true", { uid, gid: uid, stdio: "ignore" }).pid);
  }

  /** A process runs a Node script. */
  node(script: string): void {
    this.pids.push(spawnSync(process.execPath, ["-e", script], { stdio: "ignore" }).pid);
  }

  /** Whether every pattern is found in a text for one of them. */
  shownIn(text: string, patterns: readonly ProcessPattern[]): boolean {
    return patterns.every((pattern) => this.pids.some((pid) => pattern(pid, this.name).test(text)));
  }

  #shell(command: string): void {
    const script = `printf %s ${this.name} > /proc/$$/comm; ${command}`;
    this.pids.push(spawnSync("/bin/sh", ["-c", script], { stdio: "ignore" }).pid);
  }
}

/** The number of umask(2), which nothing calls often but a process that is told to. */
export const umaskNumber = arch() === "arm64" ? 166 : 95;

/** Calls bpf(2) in this process, with command 0 (BPF_MAP_CREATE). */
export function callBpf(): void {
  KernelRuntime.probe();
}

/** A port that nobody listens on: what is sent there is refused. */
const CLOSED_PORT = 9;

/** Sends a datagram and a connection request to nobody over lo, which answers with ICMP and with a TCP reset. */
export async function knockOnLoopback(): Promise<void> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.send("hello", CLOSED_PORT, "127.0.0.1", () => resolve()));
  socket.close();
  await new Promise<void>((resolve) => {
    const refused = connect(CLOSED_PORT, "127.0.0.1");
    refused.on("error", () => resolve());
    refused.on("connect", () => refused.destroy(new Error("somebody listens")));
  });
}
