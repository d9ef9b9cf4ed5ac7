/**
 * Run inside of a network namespace of its own by the attach test: makes a veth pair there, attaches an XDP program
 * that drops everything, and prints what came through as JSON.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { BpfError } from "../../../framework/core/errors.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import type { AttachTarget } from "../../../framework/programs/targets.ts";
import { openDescriptors } from "../../../framework/sys/fd.ts";
import { returns } from "./assembly.ts";

const XDP_DROP = 1;
const XDP_FLAGS_SKB_MODE = 2;
const target: AttachTarget = { hook: "xdp", device: "rxa0", flags: XDP_FLAGS_SKB_MODE };

function ip(...words: readonly string[]): void {
  execFileSync("ip", words);
}

/** Whether a packet sent out of one end arrives at the other: IP counts it only after XDP has passed it. */
function passes(): boolean {
  const before = received();
  execFileSync(process.execPath, ["-e", SEND]);
  return received() > before;
}

/** Sends a packet to the near end, under an address that nobody has, so that it does not take the way over lo. */
const SEND = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.send("hello", 9, "10.99.0.9", () => socket.close());
`;

/** IP packets that arrived in this namespace at all. */
function received(): number {
  const lines = readFileSync("/proc/net/snmp", "latin1").split("\n");
  const [names = "", values = ""] = lines.filter((line) => line.startsWith("Ip:"));
  return Number(values.split(" ")[names.split(" ").indexOf("InReceives")]);
}

function failure(action: () => void): BpfError {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

// Built in here, a module elsewhere, and not every system loads it when it is asked for.
spawnSync("modprobe", ["veth"]);
ip("link", "add", "rxa0", "type", "veth", "peer", "name", "rxb0");
ip("addr", "add", "10.99.0.2/24", "dev", "rxb0");
ip("link", "set", "rxa0", "up");
ip("link", "set", "rxb0", "up");
const address = readFileSync("/sys/class/net/rxa0/address", "latin1").trim();
ip("neigh", "add", "10.99.0.9", "lladdr", address, "dev", "rxb0");

const runtime = new KernelRuntime();
const program = runtime.loadProgram(returns("xdp", XDP_DROP), new Map());
const before = passes();
const link = runtime.attach(program, target);
const during = passes();
const second = failure(() => runtime.attach(program, target)).message.replace(/^.*: /, "");
const unknown = failure(() => runtime.attach(program, { ...target, device: "rxa00" })).hint;
link[Symbol.dispose]();
const after = passes();
program[Symbol.dispose]();
runtime[Symbol.dispose]();
const open = openDescriptors().map(({ label }) => label);
process.stdout.write(JSON.stringify({ before, during, second, after, unknown, open }));
