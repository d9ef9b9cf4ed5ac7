import { helperByNumber } from "./helpers.ts";
import { decode, type Instruction } from "./instruction.ts";
import { type AccessSize, aluOps, jumpOps } from "./opcodes.ts";

/** One instruction as text, in the spelling of the kernel's verifier log: "r1 += r2", "if w3 s> 5 goto pc+2". */
export function disassemble(insn: Instruction): string {
  const { opcode, dst, src, off, imm } = insn;
  switch (opcode.kind) {
    case "alu": {
      const letter = opcode.width === 64 ? "r" : "w";
      const target = `${letter}${dst}`;
      if (opcode.op === "neg") return `${target} = -${target}`;
      const { sign } = aluOps[opcode.op];
      if (opcode.op.startsWith("movsx")) return `${target} = ${sign}${letter}${src}`;
      return `${target} ${sign} ${opcode.source === "reg" ? `${letter}${src}` : imm}`;
    }
    case "swap":
      return `r${dst} = ${opcode.op}${opcode.width} r${dst}`;
    case "jump": {
      const letter = opcode.width === 64 ? "r" : "w";
      const right = opcode.source === "reg" ? `${letter}${src}` : imm;
      return `if ${letter}${dst} ${jumpOps[opcode.op].sign} ${right} goto ${relative(off)}`;
    }
    case "goto":
      return opcode.from === "off" ? `goto ${relative(off)}` : `gotol ${relative(imm)}`;
    case "call":
      return call(insn);
    case "exit":
      return "exit";
    case "load":
      return `r${dst} = ${place(opcode.signed ? "s" : "u", opcode.size, src, off)}`;
    case "store":
      return `${place("u", opcode.size, dst, off)} = ${opcode.source === "reg" ? `r${src}` : imm}`;
    case "atomic":
      return atomic(insn);
    case "wide":
      return `r${dst} = ${wide(insn)}`;
    case "packet": {
      const at = opcode.indirect ? `r${src} + ${imm}` : imm;
      return `r0 = *(u${opcode.size * 8} *)skb[${at}]`;
    }
  }
}

/** A program as text, one line per instruction: its slot and what it does. Ends where bytes are no instructions. */
export function disassembleAll(bytes: Uint8Array): readonly string[] {
  const { instructions, refusal } = decode(bytes);
  const lines = instructions.map((insn) => `${insn.at}: ${disassemble(insn)}`);
  return refusal === null ? lines : [...lines, `${refusal.at}: (${refusal.reason})`];
}

function relative(distance: number): string {
  return `pc${distance < 0 ? "" : "+"}${distance}`;
}

function place(letter: "s" | "u", size: AccessSize, register: number, off: number): string {
  return `*(${letter}${size * 8} *)${address(register, off)}`;
}

function address(register: number, off: number): string {
  return `(r${register} ${off < 0 ? "" : "+"}${off})`;
}

function call({ opcode, imm }: Instruction): string {
  if (opcode.kind !== "call") return "";
  if (opcode.callee === "local") return `call ${relative(imm)}`;
  if (opcode.callee === "kernel") return `call kernel function ${imm}`;
  const name = helperByNumber(imm);
  return `call ${name === undefined ? "unknown" : `bpf_${name}`}#${imm}`;
}

function atomic({ opcode, dst, src, off }: Instruction): string {
  if (opcode.kind !== "atomic") return "";
  const bits = opcode.size * 8;
  const where = `(u${bits} *)${address(dst, off)}`;
  const letter = opcode.size === 8 ? "r" : "w";
  switch (opcode.op) {
    case "add":
    case "or":
    case "and":
    case "xor":
      return `lock *${where} ${aluOps[opcode.op].sign} ${letter}${src}`;
    case "cmpxchg":
      return `${letter}0 = atomic${bits}_cmpxchg(${where}, ${letter}0, ${letter}${src})`;
    default:
      return `${letter}${src} = atomic${bits}_${opcode.op}(${where}, ${letter}${src})`;
  }
}

function wide({ opcode, at, imm, next }: Instruction): string {
  if (opcode.kind !== "wide") return "";
  switch (opcode.form) {
    case "imm64":
      return `0x${((BigInt(next >>> 0) << 32n) | BigInt(imm >>> 0)).toString(16)} ll`;
    case "map":
      return `map[fd:${imm}]`;
    case "map_value":
      return `map[fd:${imm}][0]+${next}`;
    case "variable":
      return `variable[id:${imm}]`;
    case "func":
      return `func[${at + 1 + imm}]`;
    case "map_index":
      return `map[idx:${imm}]`;
    case "map_index_value":
      return `map[idx:${imm}][0]+${next}`;
  }
}
