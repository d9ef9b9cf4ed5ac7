/**
 * Two network namespaces with a pair of devices between them, for scripts that were started in a namespace of their own:
 * "rxc0" here, "rxd0" in the other.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readlinkSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** The port that counted packets go to. */
export const PORT = 4279;
export const HERE = "10.99.0.1";
export const THERE = "10.99.0.2";

/** The other namespace, and ways to send between it and this one. */
export interface TwoNamespaces extends Disposable {
  /** Sends packets from the other namespace to this one's device. */
  receive(count: number): void;
  /** Sends packets from this namespace to the other one's device. */
  send(count: number): Promise<void>;
}

/** Makes the other namespace and the devices. */
export async function twoNamespaces(): Promise<TwoNamespaces> {
  // Built in here, a module elsewhere, and not every system loads it when it is asked for.
  spawnSync("modprobe", ["veth"]);
  writeFileSync("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  const other = spawn("unshare", ["--net", "sleep", "1000"], { stdio: "ignore" });
  await isApart(other);
  const inOther = ["--target", String(other.pid), "--net"];
  const there = (...words: readonly string[]): void => void execFileSync("nsenter", [...inOther, ...words]);
  ip("link", "set", "lo", "up");
  ip("link", "add", "rxc0", "type", "veth", "peer", "name", "rxd0", "netns", String(other.pid));
  ip("addr", "add", `${HERE}/24`, "dev", "rxc0");
  ip("link", "set", "rxc0", "up");
  there("ip", "addr", "add", `${THERE}/24`, "dev", "rxd0");
  there("ip", "link", "set", "rxd0", "up");
  return {
    receive: (count) =>
      there("bash", "-c", `for ((i = 0; i < ${count}; i++)); do echo hello >/dev/udp/${HERE}/${PORT}; done`),
    async send(count) {
      for (let i = 0; i < count; i++) await sendTo(THERE);
    },
    [Symbol.dispose]: () => void other.kill(),
  };
}

/** Runs ip(8). */
export function ip(...words: readonly string[]): string {
  return execFileSync("ip", words, { encoding: "utf8" });
}

/** Sends one packet to our port. */
export function sendTo(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.send("hello", PORT, address, (error) =>
      socket.close(() => (error === null ? resolve() : reject(error))),
    );
  });
}

/** Waits until unshare has left this namespace. */
async function isApart(other: ChildProcess): Promise<void> {
  const own = readlinkSync("/proc/self/ns/net");
  for (let tries = 0; tries < 1000; tries++) {
    if (readlinkSync(`/proc/${other.pid}/ns/net`) !== own) return;
    await delay(5);
  }
  throw new Error("the other namespace did not come to be");
}
