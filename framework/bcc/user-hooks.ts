import type { AttachTarget } from "../programs/targets.ts";
import type { Link } from "../runtime/types.ts";
import { KernelHooks } from "./kernel-hooks.ts";
import { checkOptions, type OptionType } from "./options.ts";
import { starPattern } from "./patterns.ts";
import type { UsdtPlan } from "./usdt-plan.ts";
import { refuseGo, refuseInside, type UserFunctionOptions, userTarget } from "./user-functions.ts";

const FUNCTION_OPTIONS: Readonly<Record<string, OptionType>> = {
  name: "string",
  sym: "string?",
  sym_re: "string?",
  addr: "integer?",
  pid: "number?",
  sym_off: "number?",
};

/** The part of `BPF` that attaches to functions of programs and libraries. */
export abstract class UserHooks extends KernelHooks {
  /**
   * Runs a function when processes call functions of a program or library (4.17), or reach an offset in one.
   *
   * A regular expression takes one link where the kernel has it (6.6); either all functions that match are probed, or
   * none. With an offset or an address, the function's code is read to see whether an instruction begins there.
   *
   * @throws AttachError for an unknown file, function or process, with the nearest names; and for a place inside of an
   *   instruction, with those beside it where one begins
   */
  attach_uprobe(options: UserFunctionOptions & { readonly fn_name: string }): Link {
    checkOptions("attach_uprobe", options, { ...FUNCTION_OPTIONS, fn_name: "string" });
    const target = userTarget("attach_uprobe", options, false);
    refuseInside("attach_uprobe", target, options);
    return this.#attachUser(options.fn_name, target);
  }

  /**
   * Runs a function when functions of a program or library return (4.17).
   *
   * @param options.force also in Go programs, whose stacks move: they may crash
   * @throws AttachError as attach_uprobe does, and for Go programs
   */
  attach_uretprobe(
    options: Omit<UserFunctionOptions, "sym_off"> & { readonly fn_name: string; readonly force?: boolean },
  ): Link {
    const { sym_off: _, ...types } = FUNCTION_OPTIONS;
    checkOptions("attach_uretprobe", options, { ...types, fn_name: "string", force: "boolean?" });
    const target = userTarget("attach_uretprobe", options, true);
    if (options.force !== true) refuseGo("attach_uretprobe", target);
    refuseInside("attach_uretprobe", target, options);
    return this.#attachUser(options.fn_name, target);
  }

  detach_uprobe(options: UserFunctionOptions & { readonly fn_name?: string }): void {
    checkOptions("detach_uprobe", options, { ...FUNCTION_OPTIONS, fn_name: "string?" });
    this.attachments.detach(userTarget("detach_uprobe", options, false), options.fn_name);
  }

  detach_uretprobe(options: Omit<UserFunctionOptions, "sym_off"> & { readonly fn_name?: string }): void {
    const { sym_off: _, ...types } = FUNCTION_OPTIONS;
    checkOptions("detach_uretprobe", options, { ...types, fn_name: "string?" });
    this.attachments.detach(userTarget("detach_uretprobe", options, true), options.fn_name);
  }

  /** How many places in programs and libraries have a probe of this object, those of USDT probes included. */
  num_open_uprobes(): number {
    return this.attachments.count("uprobe");
  }

  /**
   * Attaches a function whose section says where: "uprobe//usr/bin/bash:readline", "uretprobe/…", or with stars and
   * question marks in the function's name "uprobe.multi/…" (6.6).
   */
  protected attachUserSection(functionName: string, section: string): void {
    const role = SECTION.exec(section);
    if (role === null) return;
    const [, kind, multi, path, symbol, offset] = role;
    const atReturn = kind === "uretprobe";
    const options =
      multi === undefined
        ? { name: path!, sym: symbol!, sym_off: Number(offset ?? 0) }
        : { name: path!, sym_re: `${starPattern(symbol!)}$` };
    const target = userTarget(`section "${section}"`, options, atReturn);
    if (atReturn) refuseGo(`section "${section}"`, target);
    refuseInside(`section "${section}"`, target, options);
    this.#attachUser(functionName, target);
  }

  /** Attaches what USDT contexts enabled for the functions that are wanted. */
  protected attachUsdt({ attachments }: UsdtPlan, isWanted: (functionName: string) => boolean): void {
    for (const { functionName, target } of attachments) {
      if (isWanted(functionName)) this.#attachUser(functionName, target);
    }
  }

  #attachUser(functionName: string, target: AttachTarget & { readonly hook: "uprobe" }): Link {
    const together = target.places.length > 1 && this.host.runtime.supports("uprobe_multi").state === "yes";
    return this.attachments.attach(functionName, together ? "uprobe_multi" : "uprobe", target);
  }
}

/** Kind, path, function and offset of libbpf's section names. */
const SECTION = /^\??(u(?:ret)?probe)(\.multi)?(?:\.s)?\/(.+?):([^:+]+)(?:\+((?:0x)?[\da-f]+))?$/i;
