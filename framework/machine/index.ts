/**
 * The eBPF machine by itself: bytecode that runs on a block of memory, without a kernel. Nothing here needs Node, so it
 * runs in browsers too.
 */
export {
  BpfError,
  MachineFault,
  MapError,
  ObjectError,
  UnsupportedError,
  UsageError,
  VerifierError,
} from "../core/errors.ts";
export { disassembleAll } from "../isa/disassemble.ts";
export type { RawMap } from "../runtime/types.ts";
export {
  Bytecode,
  type BytecodeHelper,
  BytecodeObject,
  type BytecodeOptions,
  loadBytecode,
  loadObject,
  type ProgramMemory,
  type RunResult,
} from "./bytecode.ts";
