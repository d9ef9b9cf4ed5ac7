/** Run in a network namespace of its own by the test of CPUs that go: takes one away and back, and prints what it heard. */
import { writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type CpuListener, watchCpus } from "../../../framework/sys/cpu-watch.ts";

/** The first processor that can be taken away. */
const online = "/sys/devices/system/cpu/cpu1/online";

const heard: Parameters<CpuListener>[0][] = [];
using _ = watchCpus((change) => heard.push(change));
for (const state of ["0", "1"]) writeFileSync(online, state);
for (let tries = 0; tries < 500 && heard.length < 2; tries++) await delay(20);
process.stdout.write(JSON.stringify(heard));
