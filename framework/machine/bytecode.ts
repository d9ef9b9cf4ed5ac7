import { MachineFault, UsageError } from "../core/errors.ts";
import { Scope } from "../core/scope.ts";
import type { ProgramSpec } from "../object/object-spec.ts";
import { readObject } from "../object/read-object.ts";
import type { RawMap } from "../runtime/types.ts";
import { realClock } from "./clock.ts";
import type { HelperFunction } from "./engine.ts";
import { CONTEXT } from "./execution.ts";
import type { Happening } from "./happening.ts";
import { DEFAULT_BUDGET, Machine, type MachineProgram } from "./machine.ts";
import { Region } from "./memory.ts";

/** Memory of the program that calls a helper. */
export interface ProgramMemory {
  /**
   * The program's own bytes at an address, in place: what is changed here is changed there.
   * @throws MachineFault, which stops the program, when it may not read them
   */
  read(address: bigint, size: number): Uint8Array;
  /** As `read`, for bytes that the program may also write. */
  write(address: bigint, size: number): Uint8Array;
}

/** A helper function: r1 to r5 unsigned, and what it returns becomes r0; nothing becomes 0. */
export type BytecodeHelper = (
  this: void,
  r1: bigint,
  r2: bigint,
  r3: bigint,
  r4: bigint,
  r5: bigint,
  memory: ProgramMemory,
) => bigint | number | undefined;

/** How bytecode runs. */
export interface BytecodeOptions {
  /** What faults call the program. */
  readonly name?: string;
  /** Helpers by their numbers, in place of the machine's own or beside them. */
  readonly helpers?: Readonly<Record<number, BytecodeHelper>>;
  /** Instructions after which a run is stopped; about a second without it. */
  readonly budget?: number;
  /** Takes what programs print with bpf_trace_printk. */
  readonly print?: (text: string) => void;
}

/** How a run ended: with r0, unsigned, or with what stopped it. */
export type RunResult =
  | { readonly ok: true; readonly r0: bigint }
  | { readonly ok: false; readonly fault: MachineFault };

/** A program to run on blocks of memory. */
export class Bytecode implements Disposable {
  readonly name: string;
  readonly #machine: Machine;
  readonly #program: MachineProgram;
  readonly #happening: Happening;
  readonly #block = new Region(CONTEXT, { name: "the block of memory", bytes: NO_BYTES, writable: true });

  constructor(machine: Machine, program: MachineProgram) {
    this.name = program.spec.name;
    this.#machine = machine;
    this.#program = program;
    this.#happening = {
      task: { pid: 0, tgid: 0, comm: "", uid: 0, gid: 0, parent: 0 },
      cpu: 0,
      clock: realClock(),
      kernelStack: [],
      userStack: [],
      memory: null,
    };
  }

  /** Runs the program: r1 is the address of the block, r2 its length, both 0 without one. It may change the block. */
  run(block?: Uint8Array): RunResult {
    this.#block.replace(block ?? NO_BYTES);
    try {
      const r0 = this.#machine.run(this.#program, {
        happening: this.#happening,
        context: block === undefined ? null : this.#block,
        packet: null,
        prepare(registers) {
          registers[4] = block?.length ?? 0;
        },
      });
      return { ok: true, r0: BigInt.asUintN(64, r0) };
    } catch (fault) {
      if (fault instanceof MachineFault) return { ok: false, fault };
      throw fault;
    }
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}

const NO_BYTES = new Uint8Array(0);

/**
 * Loads instructions, 8 bytes each.
 * @throws VerifierError for bytes that are no program
 */
export function loadBytecode(insns: Uint8Array, options: BytecodeOptions = {}): Bytecode {
  const machine = machineFor(options);
  const spec: ProgramSpec = {
    name: options.name ?? "main",
    section: "",
    kind: null,
    target: null,
    insns,
    mapReferences: [],
    license: "GPL",
    kernelVersion: 0,
    btf: null,
    funcInfo: NO_BYTES,
    lineInfo: NO_BYTES,
    recordTypes: [],
  };
  return new Bytecode(machine, machine.loadProgram(spec, "tracepoint", new Map()));
}

/** The programs and maps of an object file. */
export class BytecodeObject implements Disposable {
  readonly programs: ReadonlyMap<string, Bytecode>;
  readonly maps: ReadonlyMap<string, RawMap>;
  readonly #scope: Scope;

  /** Takes over what the scope owns. */
  constructor(programs: ReadonlyMap<string, Bytecode>, maps: ReadonlyMap<string, RawMap>, scope: Scope) {
    this.programs = programs;
    this.maps = maps;
    this.#scope = scope;
  }

  /** A program by its function's name; the only one without a name. @throws UsageError for a name that is none */
  program(name?: string): Bytecode {
    const found = name === undefined ? [...this.programs.values()] : [this.programs.get(name)];
    const [first] = found;
    if (first !== undefined && found.length === 1) return first;
    throw new UsageError(
      name === undefined ? `the object has ${found.length} programs` : `the object has no program "${name}"`,
      { hint: `programs are ${[...this.programs.keys()].join(", ")}` },
    );
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/**
 * Loads an object file that clang made for BPF: creates its maps and loads its programs.
 * @throws ObjectError, MapError, VerifierError, UnsupportedError
 */
export function loadObject(elf: Uint8Array, options: BytecodeOptions = {}): BytecodeObject {
  const object = readObject(elf);
  const scope = new Scope("this object");
  try {
    const machine = scope.own(machineFor(options));
    const maps = new Map(object.maps.map((spec) => [spec.name, scope.own(machine.createMap(spec))]));
    const programs = object.programs.map((spec) => {
      const program = machine.loadProgram(spec, spec.kind ?? "tracepoint", maps);
      return [spec.name, scope.own(new Bytecode(machine, program))] as const;
    });
    return new BytecodeObject(new Map(programs), maps, scope);
  } catch (error) {
    scope[Symbol.dispose]();
    throw error;
  }
}

function machineFor({ helpers = {}, budget = DEFAULT_BUDGET, print }: BytecodeOptions): Machine {
  const own = Object.entries(helpers).map(([number, helper]) => [Number(number), adapted(helper)] as const);
  return new Machine({
    cpuCount: 1,
    budget,
    helpers: new Map(own),
    ...(print === undefined ? {} : { print: ({ text }: { readonly text: string }) => print(text) }),
  });
}

function adapted(helper: BytecodeHelper): HelperFunction {
  return (run) => {
    const [r1, r2, r3, r4, r5] = [1, 2, 3, 4, 5].map((register) => BigInt.asUintN(64, run.big(register)));
    const memory: ProgramMemory = {
      read: (address, size) => run.at(address, size, false),
      write: (address, size) => run.at(address, size, true),
    };
    const r0 = helper(r1!, r2!, r3!, r4!, r5!, memory) ?? 0;
    run.bigResult(BigInt(r0));
  };
}
