import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Source } from "../compile/preprocess.ts";
import { UsageError } from "../core/errors.ts";
import type { MachineSettings, RuntimeChoice } from "../runtimes.ts";
import type { GivenMap } from "./object-maps.ts";
import { checkOptions, type OptionType } from "./options.ts";
import type { USDT } from "./usdt.ts";

/** What `new BPF` takes: BCC's keyword arguments, and which runtime to use. Give either `text` or `src_file`. */
export interface BpfOptions {
  readonly text?: string;
  /** Path of a C file. */
  readonly src_file?: string;
  /** Compiler arguments: -D, -U and -I. */
  readonly cflags?: readonly string[];
  /** DEBUG_PREPROCESSOR prints the lowered C to stderr; BCC's other flags have no meaning here. */
  readonly debug?: number;
  /** Probes to attach to, with what was enabled at them. */
  readonly usdt_contexts?: readonly USDT[];
  /** Attach the contexts' probes for all processes, also where a context names one. */
  readonly attach_usdt_ignore_pid?: boolean;
  readonly runtime?: RuntimeChoice;
  /** Maps to use in place of new ones, by the table's name: tables of other objects, or by descriptor, id or path. */
  readonly maps?: Readonly<Record<string, GivenMap>>;
  /** What the machine is like, where it is the runtime: its clock, CPUs and task. */
  readonly machine?: MachineSettings;
  /** Which functions attach by themselves: all whose name or section says where (true), none, or those named. */
  readonly autoAttach?: boolean | readonly string[];
  /** Functions whose target this kernel may lack: they stay unattached then, and `unattached` says why. */
  readonly optional?: readonly string[];
  /** Whether programs count what does not fit into a ring buffer, for `lost`; true unless said otherwise. */
  readonly countDrops?: boolean;
  /**
   * Whether programs count the updates of tables that the kernel refuses, for `failedUpdates` and `pressure`; false unless
   * said otherwise, since each update costs a few instructions more.
   */
  readonly countFailedUpdates?: boolean;
}

/** Which type each of them has. */
export const BPF_OPTIONS: Readonly<Record<keyof BpfOptions, OptionType>> = {
  text: "string?",
  src_file: "string?",
  cflags: "strings?",
  debug: "number?",
  usdt_contexts: "array?",
  attach_usdt_ignore_pid: "boolean?",
  runtime: "string?",
  maps: "object?",
  machine: "object?",
  autoAttach: "booleanOrStrings?",
  optional: "strings?",
  countDrops: "boolean?",
  countFailedUpdates: "boolean?",
};

/** @throws UsageError unless exactly one of text and file is given, and the file can be read */
export function sourceOf({ text, src_file, cflags = [] }: BpfOptions): Source {
  if ((text === undefined) === (src_file === undefined)) {
    throw new UsageError("BPF takes either text or src_file", { hint: "new BPF({ text: `...` })" });
  }
  if (src_file === undefined) return { file: "main.c", text: text!, folder: process.cwd(), cflags };
  const path = resolve(src_file);
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (cause) {
    throw new UsageError(`cannot read src_file ${src_file}`, { cause });
  }
  return { file: src_file, text: content, folder: dirname(path), cflags };
}

/** How the machine is to be. @throws UsageError for what it does not know */
export function machineSettings({ machine = {} }: BpfOptions): MachineSettings {
  checkOptions("machine", machine, {
    clock: "object?",
    cpus: "number?",
    task: "object?",
    budget: "number?",
    random: "callback?",
  });
  return machine;
}

/** Whether a function whose name or section says where attaches by itself. */
export function attachesItself(name: string, { autoAttach = true }: BpfOptions): boolean {
  return typeof autoAttach === "boolean" ? autoAttach : autoAttach.includes(name);
}
