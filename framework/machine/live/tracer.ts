import { closeSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { systemCalls } from "../../programs/system-calls.ts";
import { errnoName } from "../../sys/libc.ts";
import { readProcess } from "../../sys/process-memory.ts";
import {
  eventMessage,
  interrupt,
  listen,
  registersOf,
  resume,
  type SyscallStop,
  seize,
  stopEvents,
  syscallStop,
  type Waited,
  waitForChild,
  waitForOwn,
} from "../../sys/ptrace.ts";
import { systemCode } from "../../sys/tracefs.ts";
import type { Architecture } from "../contexts/registers.ts";
import { startBehindGate } from "./gate.ts";
import {
  ENTER,
  type EventKind,
  EXEC,
  EXIT,
  FORK,
  type Interests,
  LEAVE,
  type Mailbox,
  type Report,
  type Request,
} from "./mailbox.ts";
import { type Session, Tracee } from "./tracee.ts";

type Stopped = Extract<Waited, { readonly state: "stopped" }>;

const { SIGTRAP, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU } = constants.signals;
const JOB_CONTROL: readonly number[] = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU];
/** PTRACE_O_TRACESYSGOOD marks stops at system calls with this bit. */
const AT_SYSCALL = SIGTRAP | 0x80;

/** AUDIT_ARCH_* of programs of the machine's own kind (linux/audit.h). */
const NATIVE: Readonly<Record<Architecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };

/** Calls behind which a task may be somebody else. */
const CREDENTIALS = [
  "setuid",
  "setgid",
  "setreuid",
  "setregid",
  "setresuid",
  "setresgid",
  "setfsuid",
  "setfsgid",
];

const PAGE_BYTES = 4096n;
const MOST_PATH = 4096;

/** What a tracer is connected to. */
export interface TracerOptions {
  readonly arch: Architecture;
  readonly mailbox: Mailbox;
  readonly interests: Interests;
  /** The name of the process that starts the commands: a command has it until it is one. */
  readonly ownName: string;
  /** The read end of the pipe that wakes the tracer for its first request. */
  readonly bell: number;
  report(report: Report): void;
  /** The next request, if there is one. */
  nextRequest(): Request | undefined;
}

/**
 * Traces commands and all that they start, in the thread that it runs in, and posts what somebody waits for. Everything
 * else only passes: signals are delivered as they are, job control stops and continues, and a task whose tracer dies goes
 * on without it.
 */
export class Tracer {
  readonly #options: TracerOptions;
  readonly #tracees = new Map<number, Tracee>();
  /** New tasks that stopped before their maker told of them. */
  readonly #early = new Map<number, Stopped>();
  readonly #sessions = new Map<number, Session>();
  readonly #execve: ReadonlyMap<number, number>;
  readonly #credentials: ReadonlySet<number>;
  readonly #ownName: Uint8Array;
  /** A process whose end wakes this thread, and the read end of the pipe that it waits on. */
  #bell = -1;
  #bellPipe: number;

  constructor(options: TracerOptions) {
    this.#options = options;
    const { byName } = systemCalls(options.arch);
    const numberOf = (name: string): number => byName.get(name)?.number ?? -1;
    // By number: which argument is the path.
    this.#execve = new Map([
      [numberOf("execve"), 0],
      [numberOf("execveat"), 1],
    ]);
    this.#credentials = new Set(CREDENTIALS.map(numberOf));
    this.#ownName = new TextEncoder().encode(options.ownName);
    this.#bellPipe = options.bell;
  }

  /** Traces until a request says to end. Tasks that still run then go on untraced. */
  run(): void {
    while (this.#takeRequests()) {
      const waited = waitForOwn();
      if (waited === null) throw new Error("nothing is left to wait for");
      if (waited.pid === this.#bell) this.#bell = -1;
      else if (waited.state === "stopped") this.#stopped(waited);
      else this.#gone(waited);
    }
    this.#closeBell();
  }

  /** False when this was the last request. */
  #takeRequests(): boolean {
    for (let next = this.#options.nextRequest(); next !== undefined; next = this.#options.nextRequest()) {
      this.#closeBell();
      this.#bellPipe = next.bell;
      if (next.command === null) return false;
      this.#begin(next.command);
    }
    if (this.#bell < 0) this.#hangBell();
    return true;
  }

  /** Nothing but a child can wake a thread that waits for children: one that ends when the pipe's other end closes. */
  #hangBell(): void {
    this.#bell = startBehindGate({
      pipe: this.#bellPipe,
      candidates: [],
      argv: [],
      env: {},
      stdio: [null, null, null],
    });
  }

  #closeBell(): void {
    if (this.#bellPipe >= 0) closeSync(this.#bellPipe);
    this.#bellPipe = -1;
  }

  #begin({ session: number, pid, gate }: NonNullable<Request["command"]>): void {
    const session: Session = {
      number,
      root: pid,
      state: "waiting",
      refusal: "",
    };
    const errno = seize(pid);
    if (errno !== undefined) {
      closeSync(gate);
      const end = waitForChild(pid);
      // A process that somebody has killed already cannot be traced either.
      if (end?.state === "killed")
        this.#options.report({ kind: "ended", session: number, code: null, signal: end.signal });
      else this.#options.report({ kind: "failed", session: number, doing: "ptrace", errno });
      return;
    }
    this.#sessions.set(pid, session);
    this.#tracees.set(pid, new Tracee(pid, session, true));
    // System calls are traced from a task's first stop on.
    interrupt(pid);
    try {
      writeSync(gate, "\n");
    } catch (error) {
      if (systemCode(error) !== "EPIPE") throw error; // it was killed meanwhile, which will be seen
    }
    closeSync(gate);
  }

  #stopped(stop: Stopped): void {
    const tracee = this.#tracees.get(stop.pid);
    if (tracee === undefined) {
      this.#early.set(stop.pid, stop);
      return;
    }
    const { event, signal } = stop;
    if (event === 0) {
      if (signal === AT_SYSCALL) this.#atSyscall(tracee);
      else this.#resume(tracee, signal);
      return;
    }
    if (event === stopEvents.stop) {
      if (JOB_CONTROL.includes(signal)) listen(stop.pid);
      else this.#atFirst(tracee);
      return;
    }
    if (event === stopEvents.exec) this.#atExec(tracee);
    else if (event === stopEvents.exit) this.#atExit(tracee);
    else this.#atFork(tracee);
  }

  #resume(tracee: Tracee, signal = 0): void {
    resume(tracee.tid, this.#options.interests.unwatched ? "free" : "syscall", signal);
  }

  /** A new task's first stop, or one that job control caused. */
  #atFirst(tracee: Tracee): void {
    if (tracee.isNew) {
      tracee.isNew = false;
      if ((this.#options.interests.calls(tracee.call) & EXIT) !== 0) {
        this.#post(tracee, "begin", (box) => {
          box.set("number", tracee.call);
          box.set("isNative", tracee.isNative ? 1 : 0);
          box.result = 0n;
          box.registers = registersOf(tracee.tid);
        });
      }
      tracee.call = -1;
    }
    this.#resume(tracee);
  }

  #atSyscall(tracee: Tracee): void {
    const stop = syscallStop(tracee.tid);
    if (stop?.op === "enter") this.#atEntry(tracee, stop);
    else if (stop?.op === "exit") this.#atReturn(tracee, stop);
    this.#resume(tracee);
  }

  #atEntry(tracee: Tracee, { arch, number, args }: SyscallStop): void {
    const { session } = tracee;
    tracee.call = number;
    tracee.isNative = arch === NATIVE[this.#options.arch];
    const path = tracee.isNative ? this.#execve.get(number) : undefined;
    if (path !== undefined) {
      if (session.state === "waiting") session.state = "becoming";
      tracee.path =
        (this.#options.interests.tasks & EXEC) === 0 ? new Uint8Array(0) : readPath(tracee.tid, args[path]!);
    }
    if (session.state === "waiting") return;
    if ((this.#options.interests.calls(tracee.isNative ? number : -1) & ENTER) === 0) return;
    this.#post(tracee, "enter", (box) => {
      box.set("number", number);
      box.set("isNative", tracee.isNative ? 1 : 0);
      box.args = args;
      box.registers = registersOf(tracee.tid);
    });
  }

  #atReturn(tracee: Tracee, { result }: SyscallStop): void {
    const { call, session, isNative } = tracee;
    tracee.call = -1;
    if (isNative && this.#credentials.has(call)) tracee.forgetIdentity();
    if (session.state === "waiting") return;
    if (session.state === "becoming") session.refusal = moreTelling(session.refusal, Number(-result));
    if ((this.#options.interests.calls(isNative ? call : -1) & EXIT) === 0) return;
    this.#post(tracee, "exit", (box) => {
      box.set("number", call);
      box.set("isNative", isNative ? 1 : 0);
      box.result = result;
      box.registers = registersOf(tracee.tid);
    });
  }

  #atFork(tracee: Tracee): void {
    const tid = eventMessage(tracee.tid);
    if (tid !== undefined && tid !== 0) {
      const child = new Tracee(tid, tracee.session, true);
      child.call = tracee.call;
      child.isNative = tracee.isNative;
      this.#tracees.set(tid, child);
      if ((this.#options.interests.tasks & FORK) !== 0) {
        this.#post(tracee, "fork", (box) => {
          box.set("other", tid);
          box.setName("other", child.name);
        });
      }
      const early = this.#early.get(tid);
      this.#early.delete(tid);
      if (early !== undefined) this.#stopped(early);
    }
    this.#resume(tracee);
  }

  /** All other threads are gone by now; the one that called execve has the process's id. */
  #atExec(tracee: Tracee): void {
    const { tid, session } = tracee;
    const before = eventMessage(tid) ?? tid;
    const caller = this.#tracees.get(before) ?? tracee;
    const own = new Tracee(tid, session, false);
    own.call = caller.call;
    own.path = caller.path;
    tracee[Symbol.dispose]();
    if (caller !== tracee) this.#forget(before);
    this.#tracees.set(tid, own);
    session.state = "running";
    session.refusal = "";
    if ((this.#options.interests.tasks & EXEC) !== 0) {
      this.#post(own, "exec", (box) => {
        box.set("other", before);
        box.text = own.path;
      });
    }
    this.#resume(own);
  }

  #atExit(tracee: Tracee): void {
    const { session } = tracee;
    tracee.isLeaving = true;
    if (session.state === "running" && (this.#options.interests.tasks & LEAVE) !== 0) {
      const { tgid } = tracee.identity;
      const others = [...this.#tracees.values()].some(
        (other) => !other.isLeaving && other.session === session && other.identity.tgid === tgid,
      );
      this.#post(tracee, "leave", (box) => box.set("isLast", others ? 0 : 1));
    }
    tracee[Symbol.dispose]();
    this.#resume(tracee);
  }

  #gone(waited: Exclude<Waited, Stopped>): void {
    const { pid } = waited;
    this.#early.delete(pid);
    this.#forget(pid);
    const session = this.#sessions.get(pid);
    if (session === undefined) return;
    this.#sessions.delete(pid);
    const { number, refusal } = session;
    if (refusal !== "")
      this.#options.report({ kind: "failed", session: number, doing: "execve", errno: refusal });
    else if (waited.state === "exited")
      this.#options.report({ kind: "ended", session: number, code: waited.code, signal: null });
    else this.#options.report({ kind: "ended", session: number, code: null, signal: waited.signal });
  }

  #forget(tid: number): void {
    this.#tracees.get(tid)?.[Symbol.dispose]();
    this.#tracees.delete(tid);
  }

  /** Hands an event over and waits until it was dealt with. */
  #post(tracee: Tracee, kind: EventKind, fill: (box: Mailbox) => void): void {
    const { mailbox } = this.#options;
    const { tgid, parent, uid, gid } = tracee.identity;
    mailbox.kind = kind;
    mailbox.set("tid", tracee.tid);
    mailbox.set("tgid", tgid);
    mailbox.set("parent", parent);
    mailbox.set("uid", uid);
    mailbox.set("gid", gid);
    mailbox.registers = NO_BYTES;
    mailbox.setName("own", tracee.session.state === "running" ? tracee.name : this.#ownName);
    fill(mailbox);
    mailbox.post(() => this.#options.report({ kind: "event" }));
  }
}

const NO_BYTES = new Uint8Array(0);

/** The reason that says more: that there is no such file is said of every folder that lacks it. */
function moreTelling(before: string, errno: number): string {
  const name = errnoName(errno);
  return before === "" || name !== "ENOENT" ? name : before;
}

/** A path in a task's memory, without its NUL; empty when it cannot be read. */
function readPath(tid: number, address: bigint): Uint8Array {
  const found: Uint8Array[] = [];
  let at = address;
  for (let length = 0; length < MOST_PATH; ) {
    // Up to the end of a page: what is behind it may not be there.
    const part = new Uint8Array(Number(PAGE_BYTES - (at % PAGE_BYTES)));
    if (!readProcess(tid, at, part)) break;
    const end = part.indexOf(0);
    found.push(end < 0 ? part : part.subarray(0, end));
    if (end >= 0) break;
    length += part.length;
    at += BigInt(part.length);
  }
  return Buffer.concat(found);
}
