import { mapKinds } from "../../../maps/kinds.ts";
import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import type { MachineMap } from "../maps/machine-map.ts";
import { MAP_HIGH } from "../memory.ts";

/** Points r0 at a value, or at nothing. */
function giveValue(run: Execution, map: MachineMap, offset: number): void {
  const { region } = map.store;
  if (offset < 0 || region === null) return run.result(0);
  region.openAt(offset);
  run.setAddress(0, region, offset);
}

/** bpf_map_lookup_elem(map, key): the value, or for a map of maps the map. */
export function lookup(run: Execution): void {
  const map = run.map(1);
  const at = run.reach(2, map.spec.keySize, false);
  const { store } = map;
  if (store.lookupSteps > 0) run.charge(store.lookupSteps);
  if (store.mapAt === undefined) {
    giveValue(run, map, store.find(run.reached.bytes, at, run.happening.cpu));
    return;
  }
  const inner = store.mapAt(run.reached.bytes, at);
  if (inner === null) return run.result(0);
  run.lend(inner);
  run.registers[0] = inner.fd;
  run.registers[1] = MAP_HIGH;
}

/** bpf_map_lookup_percpu_elem(map, key, cpu) */
export function lookupPerCpu(run: Execution): void {
  const map = run.map(1);
  const at = run.reach(2, map.spec.keySize, false);
  const cpu = run.word(3);
  if (!mapKinds[map.spec.kind].perCpu)
    throw run.fault("helper", `table "${map.spec.name}" is no per-CPU map`);
  giveValue(run, map, cpu < run.cpuCount ? map.store.find(run.reached.bytes, at, cpu) : -1);
}

/** bpf_map_update_elem(map, key, value, flags) */
export function update(run: Execution): void {
  const map = run.map(1);
  if (map.spec.frozen) throw run.fault("helper", `table "${map.spec.name}" is read-only`);
  if (map.store.mapAt !== undefined || map.store.programAt !== undefined) {
    throw run.fault("helper", `programs cannot change a ${map.spec.kind} map`);
  }
  const keyAt = run.reach(2, map.spec.keySize, false);
  const key = run.reached.bytes;
  const valueAt = run.reach(3, map.spec.valueSize, false);
  const flags = run.number(4);
  run.result(map.store.update(key, keyAt, run.reached.bytes, valueAt, flags, run.happening.cpu));
}

/** bpf_map_delete_elem(map, key) */
export function remove(run: Execution): void {
  const map = run.map(1);
  const at = run.reach(2, map.spec.keySize, false);
  run.result(map.store.remove(run.reached.bytes, at));
}

/** bpf_map_push_elem(map, value, flags) */
export function push(run: Execution): void {
  const map = run.map(1);
  const at = run.reach(2, map.spec.valueSize, false);
  run.result(map.store.push(run.reached.bytes, at, run.number(3)));
}

/** bpf_map_pop_elem(map, value), and bpf_map_peek_elem, which leaves it */
export function take(keep: boolean): (run: Execution) => void {
  return (run) => {
    const map = run.map(1);
    // A filter's peek asks about the value that is there.
    const at = run.reach(2, map.spec.valueSize, map.spec.kind !== "bloom_filter");
    run.result(map.store.take(run.reached.bytes, at, keep));
  };
}

/** Empty places that a walk passes in the time of one instruction. */
const PLACES_PER_STEP = 16;

/** bpf_for_each_map_elem(map, callback, context, flags): calls for each entry until the callback gives 1. */
export function forEach(run: Execution): void {
  const map = run.map(1);
  const { store, spec } = map;
  const slot = run.functionSlot(2);
  if (store.placeAfter === undefined || run.number(4) !== 0) return run.result(errno.EINVAL);
  const registers = run.registers.slice(0, 12);
  const key = run.scratch(`a key of table "${spec.name}"`, spec.keySize);
  let count = 0;
  try {
    // By place, so that callbacks may delete any entry, and none comes twice.
    let place = store.placeAfter(-1);
    for (let before = -1; place >= 0; before = place, place = store.placeAfter(place)) {
      run.charge(Math.ceil((place - before) / PLACES_PER_STEP));
      store.keyAt!(place, key.bytes);
      const at = store.find(key.bytes, 0, run.happening.cpu);
      if (at < 0) continue;
      run.callBack(slot, (own) => {
        own.set(registers.subarray(2, 4), 2);
        own.set([key.low(0), key.high], 4);
        own.set([store.region!.low(at), store.region!.high], 6);
        own.set(registers.subarray(6, 8), 8);
      });
      count++;
      if (run.registers[0] === 1 && run.registers[1] === 0) break;
    }
  } finally {
    run.dropScratch(key);
  }
  run.result(count);
}

/** Calls that bpf_loop makes at most (BPF_MAX_LOOPS). */
const MOST_LOOPS = 1 << 23;

/** bpf_loop(count, callback, context, flags) */
export function loop(run: Execution): void {
  const count = run.word(1);
  const slot = run.functionSlot(2);
  const context = run.registers.slice(6, 8);
  if (run.number(4) !== 0) return run.result(errno.EINVAL);
  if (count > MOST_LOOPS) return run.result(errno.E2BIG);
  let done = 0;
  while (done < count) {
    const index = done;
    run.callBack(slot, (own) => {
      own[2] = index;
      own.set(context, 4);
    });
    done++;
    if (run.registers[0] !== 0 || run.registers[1] !== 0) break;
  }
  run.result(done);
}
