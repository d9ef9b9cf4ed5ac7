/** Every error this library throws on purpose. Programs test `code`; people read `message` and `hint`. */
export abstract class BpfError extends Error {
  /** Stable name for programs to test, for instance "KEY_EXISTS". */
  abstract readonly code: string;
  /** What to try next, when we know. */
  readonly hint: string | undefined;

  constructor(message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
  }

  /** The message with its hint on a line of its own, as a command prints it. */
  describe(): string {
    return this.hint === undefined ? this.message : `${this.message}\n  hint: ${this.hint}`;
  }
}

/** What an error may carry besides its message. */
export interface ErrorDetails {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** A wrong argument: unknown option, wrong type, two options that exclude each other. */
export class UsageError extends BpfError {
  readonly code = "USAGE";
}

/** The source uses a BCC construct wrongly. `diagnostics` has every finding, the message the first. */
export class RewriteError extends BpfError {
  readonly code = "REWRITE";
  readonly diagnostics: readonly SourceDiagnostic[];

  constructor(message: string, diagnostics: readonly SourceDiagnostic[], details: ErrorDetails = {}) {
    super(message, details);
    this.diagnostics = diagnostics;
  }
}

/** clang refused the source, or could not be run. Diagnostics are at the user's lines. */
export class CompileError extends BpfError {
  readonly code: string = "COMPILE";
  readonly diagnostics: readonly SourceDiagnostic[];
  /** The command line that failed, for repeating it by hand. */
  readonly command: readonly string[];
  /** What the compiler printed, unchanged. */
  readonly stderr: string;

  constructor(message: string, failure: CompileFailure, details: ErrorDetails = {}) {
    super(message, details);
    this.diagnostics = failure.diagnostics;
    this.command = failure.command;
    this.stderr = failure.stderr;
  }
}

/** How a compiler run failed. */
export interface CompileFailure {
  readonly diagnostics: readonly SourceDiagnostic[];
  readonly command: readonly string[];
  readonly stderr: string;
}

/** No usable clang on this machine. */
export class CompilerMissingError extends CompileError {
  override readonly code = "NO_COMPILER";
}

/** An object file whose ELF or BTF does not say what it must. */
export class ObjectError extends BpfError {
  readonly code = "OBJECT";
}

/** A value does not fit its type, or bytes are too few for it. */
export class LayoutError extends BpfError {
  readonly code = "LAYOUT";
}

/** The verifier rejected a program. */
export class VerifierError extends BpfError {
  readonly code = "VERIFIER";
  /** The whole log, unchanged. */
  readonly log: string;
  /** Name of the program. */
  readonly program: string;
  /** Where in the user's source the last instruction before the rejection came from, when BTF says so. */
  readonly at: SourcePosition | undefined;

  constructor(
    message: string,
    rejection: { program: string; log: string; at?: SourcePosition | undefined },
    details: ErrorDetails = {},
  ) {
    super(message, details);
    this.program = rejection.program;
    this.log = rejection.log;
    this.at = rejection.at;
  }
}

export type MapErrorCode =
  | "MAP_CREATE"
  | "MAP_PIN"
  | "MAP_OPEN"
  | "MAP_MISMATCH"
  | "MAP_FULL"
  | "KEY_EXISTS"
  | "KEY_MISSING"
  | "BATCH_SIZE"
  | "MAP_OPERATION";

/** Creating or changing a map failed. */
export class MapError extends BpfError {
  readonly code: MapErrorCode;

  constructor(code: MapErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.code = code;
  }
}

/** A program could not be attached. What had been attached before stays as it was. */
export class AttachError extends BpfError {
  readonly code = "ATTACH";
}

/** This kernel, this machine or this runtime does not have a feature. */
export class UnsupportedError extends BpfError {
  readonly code = "UNSUPPORTED";
}

/** The process lacks a privilege. */
export class PermissionError extends BpfError {
  readonly code = "PERMISSION";
}

/** Why the machine stopped a program. */
export type FaultReason = "memory" | "budget" | "stack" | "call" | "helper";

/** The machine stopped a program that did what it may not. Nothing else was affected. */
export class MachineFault extends BpfError {
  readonly code = "FAULT";
  readonly reason: FaultReason;
  /** Name of the program. */
  readonly program: string;
  /** The instruction, in slots of 8 bytes from the program's start. */
  readonly insn: number;
  /** The address that was not allowed; undefined for other reasons than memory. */
  readonly address: bigint | undefined;
  /** Where in the user's source the instruction came from, when BTF says so. */
  readonly at: SourcePosition | undefined;

  constructor(message: string, fault: FaultDetails, details: ErrorDetails = {}) {
    super(message, details);
    this.reason = fault.reason;
    this.program = fault.program;
    this.insn = fault.insn;
    this.address = fault.address;
    this.at = fault.at;
  }
}

/** What a fault is about. */
export interface FaultDetails {
  readonly reason: FaultReason;
  readonly program: string;
  readonly insn: number;
  readonly address?: bigint | undefined;
  readonly at?: SourcePosition | undefined;
}

/** Use after close. */
export class ClosedError extends BpfError {
  readonly code = "CLOSED";
}

/** A system call failed. Always the cause of one of the above, never thrown alone. */
export class SyscallError extends BpfError {
  readonly code = "SYSCALL";
  /** The name of the error number, for instance "EINVAL". */
  readonly errno: string;
  /** The call, for instance "bpf(BPF_MAP_CREATE)". */
  readonly call: string;

  constructor(call: string, errno: string) {
    super(`${call} failed: ${errno}`);
    this.call = call;
    this.errno = errno;
  }
}

/** A place in a user's source: lines and columns count from 1, columns in UTF-16 units. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One finding about a source. */
export interface SourceDiagnostic extends SourcePosition {
  readonly severity: "error" | "warning" | "note";
  /** Stable name, for instance "UNKNOWN_METHOD". */
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** Marks a case that types rule out. */
export function assertNever(value: never): never {
  throw new UsageError(`unexpected value ${String(value)}`);
}
