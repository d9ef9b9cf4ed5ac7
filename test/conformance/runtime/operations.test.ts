import { describe, expect, test } from "vitest";
import { BpfError } from "../../../framework/core/errors.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { MachineRuntime } from "../../../framework/machine/machine-runtime.ts";
import type { MapSpec } from "../../../framework/object/object-spec.ts";
import { isPopMap, type RawMap, type UpdateMode } from "../../../framework/runtime/types.ts";
import { valueBytes } from "../../../maps/kinds.ts";
import { map } from "../../kernel/runtime/assembly.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";
import { Random } from "../../unit/rewriter/random.ts";

/** One operation of a table, and what it answered in words that both runtimes use. */
type Step = (target: RawMap, cpuCount: number) => string;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** What an operation gives, or the code of its refusal. */
function answer(action: () => string): string {
  try {
    return action();
  } catch (error) {
    if (error instanceof BpfError) return `${error.code} ${/\((E\w+)\)/.exec(error.message)?.[1] ?? ""}`;
    throw error;
  }
}

function bytesOf(target: RawMap, cpuCount: number, fill: number): Uint8Array {
  const { kind, valueSize } = target.spec;
  return new Uint8Array(valueBytes(kind, valueSize, cpuCount)).fill(fill);
}

/** One CPU's value: the kernel of this test may have another number of CPUs than the machine. */
function first(target: RawMap, value: Uint8Array): string {
  return hex(value.subarray(0, target.spec.valueSize));
}

const modes: readonly UpdateMode[] = ["any", "create", "replace"];

/** Any operation on keys that are few, so that most are there at times. */
function anyStep(random: Random, keyOf: (random: Random) => Uint8Array): { name: string; step: Step } {
  const key = keyOf(random);
  const fill = 1 + random.below(255);
  const mode = random.pick(modes);
  switch (random.below(6)) {
    case 0:
    case 1:
      return {
        name: `update ${hex(key)} ${mode}`,
        step: (target, cpus) =>
          answer(() => {
            target.update(key, bytesOf(target, cpus, fill), mode);
            return "done";
          }),
      };
    case 2:
      return { name: `delete ${hex(key)}`, step: (target) => answer(() => String(target.delete(key))) };
    case 3:
      return { name: "keys", step: (target) => answer(() => keysOf(target).join(" ")) };
    case 4:
      return {
        name: "pop",
        step: (target, cpus) =>
          answer(() => {
            const into = bytesOf(target, cpus, 1);
            if (!isPopMap(target)) return "no queue";
            return target.pop(into) ? first(target, into) : "empty";
          }),
      };
    default:
      return {
        name: `lookup ${hex(key)}`,
        step: (target, cpus) =>
          answer(() => {
            const into = bytesOf(target, cpus, fill);
            return target.lookup(key, into) ? first(target, into) : "absent";
          }),
      };
  }
}

function keysOf(target: RawMap): readonly string[] {
  const { keySize } = target.spec;
  const keys: string[] = [];
  const next = new Uint8Array(keySize);
  let more = target.nextKey(null, next);
  while (more && keys.length < 1000) {
    keys.push(hex(next));
    more = target.nextKey(next.slice(), next);
  }
  return keys.sort();
}

const small = (random: Random): Uint8Array => Uint8Array.of(random.below(6), 0, 0, 0);
const none = (): Uint8Array => new Uint8Array(0);
/** Prefixes of any length, some too long, their bits behind the prefix set or not. */
const prefix = (random: Random): Uint8Array =>
  Uint8Array.of(
    random.below(18),
    0,
    0,
    random.below(40) === 0 ? 1 : 0,
    random.pick([0, 1, 0x80, 0xff]),
    random.below(4),
  );

/** Kinds whose keys and values are plain bytes; those that hold other things have tests of their own. */
const plain: readonly { readonly spec: MapSpec; readonly key: (random: Random) => Uint8Array }[] = [
  { spec: map("hash", { maxEntries: 4 }), key: small },
  { spec: map("array", { maxEntries: 4 }), key: small },
  { spec: map("percpu_hash", { maxEntries: 4 }), key: small },
  { spec: map("percpu_array", { maxEntries: 4 }), key: small },
  { spec: map("lru_hash", { maxEntries: 1024 }), key: small },
  { spec: map("lru_percpu_hash", { maxEntries: 1024 }), key: small },
  { spec: map("lpm_trie", { keySize: 6, flags: 1, maxEntries: 6 }), key: prefix },
  { spec: map("queue", { keySize: 0, maxEntries: 3 }), key: none },
  { spec: map("stack", { keySize: 0, maxEntries: 3 }), key: none },
  { spec: map("prog_array", { valueSize: 4, maxEntries: 4 }), key: small },
  { spec: map("stack_trace", { valueSize: 64, maxEntries: 4 }), key: small },
  { spec: map("array_of_maps", { valueSize: 4, maxEntries: 4, inner: map("array") }), key: small },
  { spec: map("hash_of_maps", { valueSize: 4, maxEntries: 4, inner: map("array") }), key: small },
];

describe("the same operations give the same on both runtimes", () => {
  test.for(plain)("$spec.kind", ({ spec, key }, context) => {
    needsRuntime(context, runtimes[0]!.reason);
    const seed = Number(process.env["SEED"] ?? 3);
    const random = new Random(seed);
    using kernel = new KernelRuntime();
    using machine = new MachineRuntime({ cpuCount: 2 });
    for (let round = 0; round < 30; round++) {
      using there = kernel.createMap(spec);
      using here = machine.createMap(spec);
      const done: string[] = [];
      for (let at = 0; at < 40; at++) {
        const { name, step } = anyStep(random, key);
        done.push(name);
        const wanted = step(there, kernel.cpuCount);
        expect(step(here, machine.cpuCount), `seed ${seed}: ${done.join(", ")}`).toBe(wanted);
      }
    }
  });
});
