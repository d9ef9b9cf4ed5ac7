import type { BuildIdFrame } from "../../maps/index.ts";
import { UsageError } from "../core/errors.ts";
import { withWrittenName } from "../symbols/demangle.ts";
import { kernelAddressOf } from "../symbols/kernel.ts";
import { findLibrary, findProgram } from "../symbols/libraries.ts";
import type { ModuleSymbols } from "../symbols/module-symbols.ts";
import { debugFileOf } from "../symbols/module-symbols.ts";
import { openModule, type ResolvedSymbol, SymbolCache } from "../symbols/process.ts";
import { BpfConstants } from "./constants.ts";
import { checkOptions } from "./options.ts";
import { type UserFunction, userFunctions } from "./user-functions.ts";

/** What a printed symbol shows besides its name. */
export interface SymbolOptions {
  /** Append " [module]". */
  readonly show_module?: boolean;
  /** Append "+0x1f", the bytes into the function. */
  readonly show_offset?: boolean;
}

/** What a printed symbol of a process shows. */
export interface UserSymbolOptions extends SymbolOptions {
  /** C++ names as people write them, "shape::area(int)"; true unless said otherwise. */
  readonly demangle?: boolean;
}

const SYMBOL_OPTIONS = { show_module: "boolean?", show_offset: "boolean?" } as const;
const USER_SYMBOL_OPTIONS = { ...SYMBOL_OPTIONS, demangle: "boolean?" } as const;
/** BPF_STACK_BUILD_ID_VALID. */
const HAS_BUILD_ID = 1;
/** Processes whose symbols are kept. */
const MOST_PROCESSES = 256;

const caches = new Map<number, SymbolCache>();
const modulesByBuildId = new Map<string, { readonly path: string; readonly symbols: ModuleSymbols }>();

/** The part of `BPF` that names addresses and finds functions. All of it works without an object too. */
export abstract class SymbolNames extends BpfConstants {
  /**
   * The function that an address of a process lies in, "[unknown]" when nobody knows.
   *
   * Generated code, such as JavaScript's, has names when the process writes `/tmp/perf-PID.map` (`node
   * --perf-basic-prof`). What was asked of a process while it ran stays known after its end.
   *
   * @param addr an address, or an entry of a stack table of build ids
   * @param pid a process; below 0 the address is the kernel's
   * @throws PermissionError when this user may not know
   */
  static sym(addr: bigint | number | BuildIdFrame, pid: number, options: UserSymbolOptions = {}): string {
    checkOptions("sym", options, USER_SYMBOL_OPTIONS);
    const demangle = options.demangle !== false;
    const cache = cacheOf(pid);
    return textOf(
      typeof addr === "object" ? resolveBuildId(addr, pid, demangle) : cache.resolve(addr, demangle),
      options,
    );
  }

  /**
   * The kernel function that an address lies in.
   *
   * @throws PermissionError when this user may not see kernel addresses
   */
  static ksym(addr: bigint | number, options: SymbolOptions = {}): string {
    checkOptions("ksym", options, SYMBOL_OPTIONS);
    return textOf(cacheOf(-1).resolve(addr), options);
  }

  /**
   * The address of a kernel symbol; -1n when there is none.
   *
   * @throws PermissionError when this user may not see kernel addresses
   */
  static ksymname(name: string): bigint {
    return kernelAddressOf(name) ?? -1n;
  }

  /** Makes the functions of a program or library known for stacks of build ids. */
  static add_module(modname: string): void {
    const symbols = openModule(modname, "");
    const buildId = symbols?.buildId;
    if (symbols === null || buildId === undefined) {
      throw new UsageError(`add_module: ${modname} is no program or library with a build id`);
    }
    modulesByBuildId.set(buildId, { path: modname, symbols });
  }

  /** Names of the functions of a program or library that begin with a match of a regular expression. */
  static get_user_functions(name: string, sym_re: string): readonly string[] {
    return userFunctions("get_user_functions", name, sym_re).map(([symbol]) => symbol);
  }

  /** The addresses of the same functions, as attach_uprobe takes them. */
  static get_user_addresses(name: string, sym_re: string): readonly number[] {
    return userFunctions("get_user_addresses", name, sym_re).map(([, address]) => address);
  }

  /** Names and addresses of the same functions, each address once. */
  static get_user_functions_and_addresses(name: string, sym_re: string): readonly UserFunction[] {
    return userFunctions("get_user_functions_and_addresses", name, sym_re);
  }

  /** The path of a library by its short name, as a process sees it when one is given; undefined without one. */
  static find_library(libname: string, pid = 0): string | undefined {
    return findLibrary(libname, pid);
  }

  /** The path of a program of PATH; undefined without one. */
  static find_exe(bin_path: string): string | undefined {
    return findProgram(bin_path);
  }

  /** As the static method. */
  sym(addr: bigint | number | BuildIdFrame, pid: number, options: UserSymbolOptions = {}): string {
    return SymbolNames.sym(addr, pid, options);
  }

  /** As the static method. */
  ksym(addr: bigint | number, options: SymbolOptions = {}): string {
    return SymbolNames.ksym(addr, options);
  }

  /** As the static method. */
  ksymname(name: string): bigint {
    return SymbolNames.ksymname(name);
  }
}

function cacheOf(pid: number): SymbolCache {
  let cache = caches.get(pid);
  if (cache === undefined) {
    cache = new SymbolCache(Math.max(pid, -1));
    const oldest = caches.keys().next();
    if (caches.size >= MOST_PROCESSES && oldest.done !== true) caches.delete(oldest.value);
    caches.set(pid, cache);
  }
  return cache;
}

function resolveBuildId(entry: BuildIdFrame, pid: number, demangle: boolean): ResolvedSymbol {
  if (entry.status !== HAS_BUILD_ID) return cacheOf(pid).resolve(entry.offset, demangle);
  const buildId = Buffer.from(entry.build_id).toString("hex");
  const known = modulesByBuildId.get(buildId) ?? debugModule(buildId);
  const offset = Number(entry.offset);
  if (known === undefined) return { name: undefined, offset, module: buildId };
  const address = known.symbols.file.addressOf(offset);
  const found = address === undefined ? undefined : known.symbols.nameAt(address);
  const symbol = { name: found?.name, offset: found?.offset ?? offset, module: known.path };
  return demangle ? withWrittenName(symbol) : symbol;
}

function debugModule(
  buildId: string,
): { readonly path: string; readonly symbols: ModuleSymbols } | undefined {
  const path = debugFileOf(buildId);
  const symbols = openModule(path, "");
  if (symbols === null) return undefined;
  const module = { path, symbols };
  modulesByBuildId.set(buildId, module);
  return module;
}

/** BCC's form: "name+0x1f [module]", the module without its folders. */
function textOf({ name, offset, module }: ResolvedSymbol, options: SymbolOptions): string {
  const shownOffset = options.show_offset === true && name !== undefined ? `+0x${offset.toString(16)}` : "";
  const shownModule =
    options.show_module === true && module !== undefined
      ? ` [${module.slice(module.lastIndexOf("/") + 1)}]`
      : "";
  return `${name ?? "[unknown]"}${shownOffset}${shownModule}`;
}
