import { describe, expect, test } from "vitest";
import { summarizeLog } from "../../../framework/kernel/verifier-log.ts";

/** A log with this reason, as the kernel frames it. */
const log = (...reason: readonly string[]): string =>
  [
    "0: R1=ctx(off=0,imm=0) R10=fp0",
    "; int probe(void *ctx) @ hello.c:3",
    "0: (b7) r1 = 5                        ; R1_w=5",
    "17: (79) r0 = *(u64 *)(r1 +0)",
    ...reason,
    "processed 18 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
    "",
  ].join("\n");

describe("summarizeLog", () => {
  test("gives the reason, the last instruction and how many lines are not in the reason", () => {
    expect(summarizeLog(log("R1 invalid mem access 'scalar'"))).toMatchObject({
      reason: "R1 invalid mem access 'scalar'",
      leftOut: 5,
      insn: 17,
    });
  });

  test("keeps a reason of two lines together", () => {
    const { reason } = summarizeLog(
      log(
        "invalid access to map value, value_size=4 off=4 size=4",
        "R0 min value is outside of the allowed memory range",
      ),
    );
    expect(reason).toBe(
      "invalid access to map value, value_size=4 off=4 size=4; R0 min value is outside of the allowed memory range",
    );
  });

  test("takes the instruction from the reason when that names one", () => {
    expect(summarizeLog("back-edge from insn 9 to 2\n").insn).toBe(9);
  });

  test.each([
    ["R1 invalid mem access 'inv'", "bpf_probe_read_kernel()"],
    ["R1 invalid mem access 'scalar'", "bpf_probe_read_kernel()"],
    ["R0 invalid mem access 'map_value_or_null'", "NULL"],
    ["R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value", "stack"],
    ["R2 type=inv expected=fp", "stack"],
    ["invalid func unknown#999", "no helper unknown#999"],
    ["unknown func bpf_probe_read#4", "bpf_probe_read() is not allowed in this kind of program"],
    ["program of this type cannot use helper bpf_probe_read#4", "bpf_probe_read() is not allowed"],
    ["cannot call GPL-restricted function from non-GPL compatible program", "license"],
    ["cannot call GPL only function from proprietary program", "license"],
    ["combined stack size of 2 calls is 544. Too large", "512 bytes"],
    ["invalid stack off=-520 size=8", "512 bytes"],
    ["invalid write to stack R10 off=-520 size=8", "512 bytes"],
    ["invalid read from stack R2 off=-8 size=4", "initialise"],
    ["R1 invalid mem access 'trusted_ptr_or_null_'", "NULL"],
    ["invalid indirect read from stack R2 off -16+8 size 16", "initialise"],
    ["back-edge from insn 4 to 1", "loop"],
    ["infinite loop detected at insn 4", "loop"],
    ["R2 unbounded memory access, use 'var &= const' or 'if (var < const)'", "bound"],
    ["R0 !read_ok", "return a value"],
    ["R3 !read_ok", "register"],
    ["invalid access to packet, off=0 size=4, R1(id=0,off=0,r=0)", "data_end"],
    ["invalid bpf_context access off=120 size=8", "context"],
    ["R0 leaks addr as return value", "privileged"],
    ["BPF program is too large. Processed 1000001 insn", "paths"],
    ["The sequence of 8193 jumps is too complex.", "paths"],
    ["Unreleased reference id=2 alloc_insn=5", "reserved record"],
  ])("%s", (reason, hint) => {
    expect(summarizeLog(log(reason)).hint).toContain(hint);
  });
});
