import { describe, expect, test } from "vitest";
import { CompileError } from "../../../framework/core/errors.ts";
import { compileText, lowerText } from "../rewriter/lowering.ts";

/** The first error's hint of a program that returns an expression. */
function hintOf(expression: string): string | undefined {
  try {
    compileText(lowerText(`int f(struct pt_regs *ctx) { char a[4] = "abc"; return ${expression}; }\n`));
  } catch (error) {
    if (error instanceof CompileError) return error.hint;
    throw error;
  }
  return undefined;
}

describe("what the kernel's own code has and programs have not is said with what to write instead", () => {
  test.each([
    ["(u64)current", /bpf_get_current_task/],
    ["jiffies", /bpf_jiffies64/],
    ["smp_processor_id()", /bpf_get_smp_processor_id/],
    ["strcmp(a, a)", /bpf_strncmp/],
    ["strncmp(a, a, 2)", /bpf_strncmp/],
    ['printk("text")', /bpf_trace_printk/],
    ["page_to_pfn(0)", /when it boots/],
    ["slab_address(0)", /when it boots/],
    ["get_current_comm()", /^did you mean bpf_get_current_comm\?$/],
  ])("%s", (expression, hint) => {
    expect(hintOf(expression)).toMatch(hint);
  });
});
