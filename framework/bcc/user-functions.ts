import { realpathSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { didYouMean, nearestNames } from "../core/diagnostics.ts";
import { AttachError, UsageError } from "../core/errors.ts";
import type { AttachTarget, UprobePlace } from "../programs/targets.ts";
import type { FileSymbol } from "../symbols/elf-symbols.ts";
import { neighboursOf } from "../symbols/instruction-starts.ts";
import { findLibrary, findProgram } from "../symbols/libraries.ts";
import { ModuleSymbols } from "../symbols/module-symbols.ts";
import { rootOf } from "../symbols/process.ts";
import { matcher } from "./patterns.ts";

/** Which functions to probe: BCC's arguments. */
export interface UserFunctionOptions {
  /** A path, the short name of a library ("c"), or a program of PATH. */
  readonly name: string;
  /** A function, also "name@VERSION". */
  readonly sym?: string;
  /** A regular expression: every function whose name begins with a match. */
  readonly sym_re?: string;
  /** An address in the file, as nm and objdump show it. */
  readonly addr?: number | bigint;
  /** Only in this process, whose own file system `name` is looked for in; -1 for all processes. */
  readonly pid?: number;
  /** Bytes into the function. */
  readonly sym_off?: number;
}

type UserTarget = Extract<AttachTarget, { hook: "uprobe" }>;

/** A function that BCC's get_user_functions_and_addresses gives: its name, and its address in the file. */
export type UserFunction = readonly [name: string, address: number];

/** A program or library, opened. */
interface UserFile {
  /** As this process opens it. */
  readonly path: string;
  readonly symbols: ModuleSymbols;
}

/**
 * The target that BCC's arguments mean.
 *
 * @param method whose arguments they are, for messages
 * @throws UsageError for arguments that exclude each other; AttachError for an unknown file, function or process
 */
export function userTarget(method: string, options: UserFunctionOptions, atReturn: boolean): UserTarget {
  const { sym, sym_re, addr, sym_off = 0, pid = -1 } = options;
  const given = [sym, sym_re, addr].filter((value) => value !== undefined && value !== "");
  if (given.length !== 1) {
    throw new UsageError(`${method} takes one of sym, sym_re and addr, not ${given.length || "none"}`);
  }
  if (sym_off !== 0 && sym === undefined) throw new UsageError(`${method}: "sym_off" goes with "sym" only`);
  if (!Number.isInteger(sym_off) || sym_off < 0)
    throw new UsageError(`${method}: "sym_off" must be a whole number from 0 on, not ${sym_off}`);
  const file = openUserFile(method, options.name, pid);
  const base = { hook: "uprobe", path: file.path, atReturn, pid } as const;
  if (sym_re !== undefined && sym_re !== "") {
    const offsets = matchingFunctions(method, file, sym_re).map(({ address }) =>
      offsetOf(method, file, address),
    );
    return { ...base, name: `/${sym_re}/`, places: placesAt(offsets) };
  }
  if (addr !== undefined) {
    const name = `0x${addr.toString(16)}`;
    return { ...base, name, places: placesAt([offsetOf(method, file, Number(addr))]) };
  }
  const { address, size } = functionNamed(method, file, sym!);
  if (size !== 0 && sym_off >= size) {
    throw new AttachError(`${method}: offset ${sym_off} is past the end of ${sym}, which has ${size} bytes`);
  }
  const name = sym_off === 0 ? sym! : `${sym}+0x${sym_off.toString(16)}`;
  return { ...base, name, places: placesAt([offsetOf(method, file, address + sym_off)]) };
}

function placesAt(offsets: readonly number[]): readonly UprobePlace[] {
  return [...new Set(offsets)].sort((a, b) => a - b).map((offset) => ({ offset, refCounter: 0, cookie: 0n }));
}

/**
 * Refuses what return probes break: Go's stacks move, and the return address on them is the kernel's while a return
 * probe waits.
 */
export function refuseGo(method: string, { path, name, places }: UserTarget): void {
  if (!new ModuleSymbols(path).isGo || places.length === 0) return;
  throw new AttachError(`${method}: ${path} is a Go program, which a return probe of ${name} would crash`, {
    hint: "probe the function's return instructions with attach_uprobe and sym_off, or pass force: true",
  });
}

/**
 * Refuses a place inside of an instruction, which the kernel would overwrite there: the program would then run another
 * one, or crash. What begins a function needs no look at its code.
 *
 * Instructions are followed from the beginning of the function that the place is in. Where no symbol with a size tells
 * that function, and where following them does not lead past the place, nothing is refused.
 *
 * @throws AttachError with the two places beside it where instructions begin
 */
export function refuseInside(
  method: string,
  { path, places }: UserTarget,
  options: UserFunctionOptions,
): void {
  const { addr, sym_off = 0, pid = -1 } = options;
  const place = places[0];
  if (place === undefined || (addr === undefined && sym_off === 0)) return;
  const symbols = new ModuleSymbols(path, pid < 0 ? "" : rootOf(pid));
  const { file } = symbols;
  const address = file.addressOf(place.offset);
  const code = address === undefined ? undefined : symbols.functionAt(address);
  const start = code === undefined ? undefined : file.fileOffsetOf(code.address);
  if (code === undefined || start === undefined || start === place.offset) return;
  const inside = neighboursOf(file.machine, file.read(start, code.size), place.offset - start);
  if (inside === undefined) return;
  const at = (offset: number): string => (offset === 0 ? code.name : `${code.name}+0x${offset.toString(16)}`);
  throw new AttachError(
    `${method}: ${at(place.offset - start)} of ${path} is inside of an instruction: one begins at ${at(inside.before)}, the next at ${at(inside.after)}`,
    { hint: `probe one of those; objdump -d ${path} shows where instructions begin` },
  );
}

/** Functions of a file whose names begin with a match, one for each address, in the order of addresses. */
export function userFunctions(method: string, name: string, sym_re: string): readonly UserFunction[] {
  const file = openUserFile(method, name, -1);
  const found = file.symbols.functions().filter(({ name: symbol }) => matcher(method, sym_re)(symbol));
  return found.toSorted((a, b) => a.address - b.address).map((symbol) => [symbol.name, symbol.address]);
}

/**
 * Opens what a user calls a file: a path, a library's short name, or a program. With a process, inside of its own file
 * system.
 *
 * @throws AttachError when there is none
 */
export function openUserFile(method: string, name: string, pid: number): UserFile {
  if (pid >= 0 && statSync(`/proc/${pid}`, { throwIfNoEntry: false }) === undefined) {
    throw new AttachError(`${method}: no process ${pid}`);
  }
  const path = pathOf(name, pid);
  if (path === undefined) {
    const where = pid < 0 ? "" : ` in process ${pid}'s file system`;
    throw new AttachError(
      `${method}: there is no ${name.includes("/") ? "file" : "library or program"} ${name}${where}`,
      {
        hint: name.includes("/") ? undefined : 'give a path, or a library\'s name without "lib" and ".so"',
      },
    );
  }
  return { path, symbols: new ModuleSymbols(path, pid < 0 ? "" : rootOf(pid)) };
}

function pathOf(name: string, pid: number): string | undefined {
  const root = pid < 0 ? "" : rootOf(pid);
  const inside = name.includes("/")
    ? findProgram(isAbsolute(name) ? name : resolve(name), root)
    : (findLibrary(name, Math.max(pid, 0)) ?? findProgram(name, root));
  if (inside === undefined) return undefined;
  // Links are followed, so that every way to write a path is the same target; inside of another root that is not ours to do.
  return root === "" ? realpathSync(inside) : root + inside;
}

function functionNamed(method: string, { path, symbols }: UserFile, name: string): FileSymbol {
  const found = symbols.find(name);
  const first = found[0];
  if (first === undefined) {
    const names = new Set(symbols.functions().map((symbol) => symbol.name));
    throw new AttachError(`${method}: ${path} has no function ${name}`, {
      hint: didYouMean(nearestNames(name, names)) ?? (names.size === 0 ? STRIPPED : undefined),
    });
  }
  if (found.every(({ kind }) => kind === "indirect")) {
    throw new AttachError(
      `${method}: ${name} of ${path} is an indirect function (GNU_IFUNC): the code there only chooses another one, once`,
      { hint: `probe what it chooses, for instance by sym_re: "__${name}_"; or give its address as addr` },
    );
  }
  const wanted = found.filter(({ kind, isGlobal }) => kind !== "indirect" && isGlobal === first.isGlobal);
  const addresses = [...new Set(wanted.map(({ address }) => address))];
  if (!first.isGlobal && addresses.length > 1) {
    throw new AttachError(`${method}: ${path} has ${addresses.length} functions ${name}`, {
      hint: `give one's address as addr: ${addresses.map((address) => `0x${address.toString(16)}`).join(", ")}`,
    });
  }
  return wanted[0] ?? first;
}

const STRIPPED = "the file has no symbols: install its debug symbols, or give an address as addr";

function matchingFunctions(
  method: string,
  { path, symbols }: UserFile,
  pattern: string,
): readonly FileSymbol[] {
  const matches = matcher(method, pattern);
  const found = symbols.functions().filter(({ name, kind }) => kind === "function" && matches(name));
  if (found.length === 0) throw new AttachError(`${method}: no function of ${path} matches /${pattern}/`);
  return found;
}

function offsetOf(method: string, { path, symbols }: UserFile, address: number): number {
  const offset = symbols.file.fileOffsetOf(address);
  if (offset !== undefined) return offset;
  throw new AttachError(
    `${method}: address 0x${address.toString(16)} is in no part of ${path} that is loaded`,
  );
}
