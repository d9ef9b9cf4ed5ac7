import { errno } from "../errno.ts";
import type { Execution } from "../execution.ts";
import { StackStore, USER_STACK } from "../maps/stacks.ts";
import { LOW_BASE } from "../memory.ts";
import { commBytes } from "../tasks.ts";

/** Ticks of the kernel's clock in a second: CONFIG_HZ of most distributions. */
const HZ = 250n;
/** Seconds that atomic time is ahead of UTC since 2017. */
const LEAP_SECONDS = 37n;
const PER_SECOND = 1_000_000_000n;

/** bpf_ktime_get_ns, and the clocks that only differ from it while a machine sleeps */
export function monotonic(run: Execution): void {
  run.bigResult(run.happening.clock.monotonic());
}

/** bpf_ktime_get_tai_ns */
export function atomicTime(run: Execution): void {
  run.bigResult(run.happening.clock.realtime() + LEAP_SECONDS * PER_SECOND);
}

/** bpf_jiffies64 */
export function jiffies(run: Execution): void {
  run.bigResult((run.happening.clock.monotonic() * HZ) / PER_SECOND);
}

/** bpf_get_current_pid_tgid: the process above, the thread below. */
export function pidTgid(run: Execution): void {
  const { pid, tgid } = run.happening.task;
  run.registers[0] = pid;
  run.registers[1] = tgid;
}

/** bpf_get_ns_current_pid_tgid(dev, ino, to, size): the machine has one namespace, whatever it is called. */
export function namespacePidTgid(run: Execution): void {
  const { pid, tgid } = run.happening.task;
  const size = run.word(4);
  const into = run.bytes(3, size, true);
  into.fill(0);
  if (size !== 8) return run.result(errno.EINVAL);
  into.set(new Uint8Array(Uint32Array.of(pid, tgid).buffer));
  run.result(0);
}

/** bpf_get_current_uid_gid */
export function uidGid(run: Execution): void {
  const { uid, gid } = run.happening.task;
  run.registers[0] = uid;
  run.registers[1] = gid;
}

/** bpf_get_current_comm(buffer, size) */
export function comm(run: Execution): void {
  const size = run.word(2);
  const into = run.bytes(1, size, true);
  const name = commBytes(run.happening.task.comm);
  into.fill(0);
  into.set(name.subarray(0, Math.min(size, name.length)));
  if (size > 0) into[size - 1] = 0;
  run.result(0);
}

export function cpu(run: Execution): void {
  run.result(run.happening.cpu);
}

export function random(run: Execution): void {
  run.result(run.services.random() >>> 0);
}

export function zero(run: Execution): void {
  run.result(0);
}

/** bpf_get_current_task: an address to read from. */
export function currentTask(run: Execution): void {
  run.setAddress(0, run.services.tasks.of(run.happening.task), 0);
}

/** bpf_get_current_task_btf: the same, which the program may also read directly. */
export function currentTaskWithTypes(run: Execution): void {
  const region = run.services.tasks.of(run.happening.task);
  run.grant(region);
  run.setAddress(0, region, 0);
}

const CREATE = 1;

/** The pid of the task that a register points to. */
function taskAt(run: Execution, register: number): Uint8Array | null {
  const r = run.registers;
  const pid = run.services.tasks.pidAt(r[2 * register + 1]!, (r[2 * register]! >>> 0) - LOW_BASE);
  return pid === undefined ? null : new Uint8Array(Uint32Array.of(pid).buffer);
}

/** bpf_task_storage_get(map, task, value, flags): the task's value, made from the given one or from zeros. */
export function taskStorage(run: Execution): void {
  const map = run.map(1);
  const key = taskAt(run, 2);
  const flags = run.number(4);
  const { store, spec } = map;
  if (key === null || flags > CREATE || store.region === null) return run.result(0);
  let at = store.find(key, 0, 0);
  if (at < 0 && flags === CREATE) {
    const isGiven = run.number(3) !== 0;
    const value = isGiven ? run.bytes(3, spec.valueSize, false) : new Uint8Array(spec.valueSize);
    if (store.update(key, 0, value, 0, 0, 0) === 0) at = store.find(key, 0, 0);
  }
  if (at < 0) return run.result(0);
  run.setAddress(0, store.region, at);
}

/** bpf_task_storage_delete(map, task) */
export function dropTaskStorage(run: Execution): void {
  const map = run.map(1);
  const key = taskAt(run, 2);
  run.result(key === null ? errno.EINVAL : map.store.remove(key, 0));
}

function stackOf(run: Execution, flags: number): readonly bigint[] {
  return (flags & USER_STACK) !== 0 ? run.happening.userStack : run.happening.kernelStack;
}

/** bpf_get_stackid(context, map, flags) */
export function stackId(run: Execution): void {
  const { store, spec } = run.map(2);
  if (!(store instanceof StackStore)) throw run.fault("helper", `table "${spec.name}" is no stack table`);
  const flags = run.number(3);
  run.result(store.keep(stackOf(run, flags), flags));
}

const SKIP_MASK = 0xff;

/** bpf_get_stack(context, buffer, size, flags): bytes that were written. The machine knows no build ids. */
export function stack(run: Execution): void {
  const size = run.word(3);
  const into = run.bytes(2, size, true);
  const flags = run.number(4);
  into.fill(0);
  if (size % 8 !== 0 || flags > (SKIP_MASK | USER_STACK)) return run.result(errno.EINVAL);
  const addresses = stackOf(run, flags);
  const skipped = flags & SKIP_MASK;
  if (skipped > addresses.length) return run.result(errno.EFAULT);
  const kept = addresses.slice(skipped, skipped + size / 8);
  const view = new DataView(into.buffer, into.byteOffset, into.length);
  for (const [index, address] of kept.entries()) view.setBigUint64(index * 8, address, true);
  run.result(kept.length * 8);
}
