// machine-start.js: from nothing to the first answer of a program, in this process; processor time.
import { writeSync } from "node:fs";

const begin = process.cpuUsage();
const { loadBytecode } = await import("rxbpf/machine");
// r0 = r2; exit
const program = loadBytecode(Uint8Array.of(0xbf, 0x20, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0));
const result = program.run(new Uint8Array(42));
const { user, system } = process.cpuUsage(begin);
const seconds = (user + system) / 1e6;
writeSync(1, `${JSON.stringify({ seconds, count: 1, total: result.ok ? Number(result.r0) : 0 })}\n`);
