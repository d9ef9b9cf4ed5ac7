import { notify } from "../../core/notify.ts";
import { describeTarget } from "../../programs/targets.ts";
import { type CommandSpec, candidatesFor, RunningCommand } from "../../sys/commands.ts";
import { MachineRuntime, type MachineRuntimeOptions } from "../machine-runtime.ts";
import { type Awaited, awaitedBy, LiveEvents, type LiveHost } from "./live-events.ts";
import type { Mailbox } from "./mailbox.ts";
import { tracingOf, unwatch, type Watcher, watch } from "./tracing.ts";

/** A machine in which what commands do happens by itself: their system calls, and those of all that they start. */
export class LiveRuntime extends MachineRuntime implements Watcher {
  readonly #host: LiveHost;
  readonly #events: LiveEvents;
  #closed = false;
  wanted: Awaited;

  constructor(options: MachineRuntimeOptions & LiveHost) {
    super(options);
    this.#host = options;
    this.#events = new LiveEvents(options);
    this.wanted = awaitedBy([], options);
    watch(this);
  }

  /**
   * Starts a command under ptrace.
   *
   * @throws UsageError when there is no such program
   * @throws UnsupportedError, PermissionError where commands cannot be traced
   */
  spawn(spec: CommandSpec): RunningCommand {
    const candidates = candidatesFor(spec);
    const tracing = tracingOf(this.#host.arch);
    this.#saySilent();
    const started = tracing.start({
      ...spec,
      candidates,
      argv: [spec.command, ...spec.args],
    });
    return new RunningCommand(started.pid, started.exited);
  }

  /** Runs what is attached to where something happened. */
  happened(box: Mailbox): void {
    for (const { target, context } of this.#events.of(box)) {
      if (!this.isAttached(target)) continue;
      for (const { fault } of this.fire(target, context)) {
        if (fault !== null) notify(`rxbpf: ${fault.message}`);
      }
    }
  }

  protected override targetsChanged(): void {
    if (this.#closed) return;
    this.wanted = awaitedBy(this.targets, this.#host);
    watch(this);
  }

  #saySilent(): void {
    for (const target of this.wanted.silent) {
      notify(`rxbpf: nothing that a command does reaches ${describeTarget(target)} in the machine`);
    }
  }

  override [Symbol.dispose](): void {
    this.#closed = true;
    super[Symbol.dispose]();
    unwatch(this);
  }
}
