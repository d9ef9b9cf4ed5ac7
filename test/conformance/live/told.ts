import { BPF, type RuntimeChoice } from "../../../framework/index.ts";
import { until } from "../../support/commands.ts";

/** What a program tells of one event. */
export interface Told {
  readonly pid: number;
  readonly tid: number;
  readonly uid: number;
  readonly a: bigint;
  readonly b: bigint;
  readonly comm: string;
  readonly text: string;
}

/** The same, and whether the command's first process did it. */
export interface ToldOfCommand extends Told {
  readonly isOwn: boolean;
}

/** The beginning of a source whose programs tell. */
export const TELLING = `
  struct told { u32 pid; u32 tid; u32 uid; u64 a; u64 b; char comm[16]; char text[64]; };
  BPF_RINGBUF_OUTPUT(told, 256);
  static inline void fill(struct told *e) {
    u64 id = bpf_get_current_pid_tgid();
    e->pid = id >> 32; e->tid = id; e->uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(&e->comm, sizeof(e->comm));
  }`;

/** Tells of every openat: `a` has its flags, `text` the path. */
export const OPENAT = `
  TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    struct told e = {}; fill(&e);
    e.a = args->flags;
    bpf_probe_read_user_str(e.text, sizeof(e.text), args->filename);
    return told.ringbuf_output(&e, sizeof(e), 0);
  }`;

/** Tells of tasks' lives: `text` is "fork", with the child in `b`; what is executed, with the caller's id before; "exit". */
export const LIVES = `
  TRACEPOINT_PROBE(sched, sched_process_fork) {
    struct told e = {.a = args->parent_pid, .b = args->child_pid}; fill(&e);
    __builtin_memcpy(e.text, "fork", 5);
    return told.ringbuf_output(&e, sizeof(e), 0); }
  TRACEPOINT_PROBE(sched, sched_process_exec) {
    struct told e = {.a = args->pid, .b = args->old_pid}; fill(&e);
    bpf_probe_read_kernel_str(e.text, sizeof(e.text), (void *)args + (args->data_loc_filename & 0xffff));
    return told.ringbuf_output(&e, sizeof(e), 0); }
  TRACEPOINT_PROBE(sched, sched_process_exit) {
    struct told e = {.a = args->pid}; fill(&e);
    __builtin_memcpy(e.text, "exit", 5);
    return told.ringbuf_output(&e, sizeof(e), 0); }`;

/** Where a command runs under programs. */
export interface ToldOptions {
  /** The machine, when not given. */
  readonly runtime?: RuntimeChoice;
  /** Tells the last event, for the kernel: it wakes its readers when it finds the time. */
  readonly isLast?: (told: ToldOfCommand) => boolean;
}

/** Runs a command under a source's programs and gives what they told, in order. */
export async function toldBy(
  source: string,
  command: readonly string[],
  { runtime = "machine", isLast = () => true }: ToldOptions = {},
): Promise<readonly ToldOfCommand[]> {
  using b = new BPF({ runtime, text: TELLING + source });
  const seen: Told[] = [];
  b.get_table<never, Told>("told")
    .events()
    .subscribe((event) => seen.push(event));
  const [name = "", ...args] = command;
  const { pid, exited } = b.spawn(name, args, { stdio: "ignore" });
  const own = (): readonly ToldOfCommand[] => seen.map((event) => ({ ...event, isOwn: event.pid === pid }));
  await exited;
  if (runtime === "kernel") await until("the last event", () => own().some(isLast));
  return own();
}
