import { beforeEach, describe, expect, test } from "vitest";
import { UsageError, VerifierError } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
/** Only programs under the GPL may call this. */
const PRINT = `int f(${CTX}) { bpf_trace_printk("licence"); return 5; }`;

describe("licences", () => {
  beforeEach((context) => needsKernel(context));

  test.each([
    ["none given", ""],
    ["words of a macro", "#define BPF_LICENSE Dual BSD/GPL\n"],
    ["a text of a macro", '#define BPF_LICENSE "GPL"\n'],
    ["a variable", 'char _license[] SEC("license") = "GPL";\n'],
    ["a variable that is called like its section", 'char license[] SEC("license") = "GPL";\n'],
    [
      "a variable with its attribute, and a version",
      'unsigned version __attribute__((section("version"), used)) = LINUX_VERSION_CODE;\nconst char license[] __attribute__((section("license"), used)) = "GPL v2";\n',
    ],
  ])("%s: GPL programs load", (_, text) => {
    using b = open(text + PRINT);
    expect(run(b, "f")).toBe(5);
  });

  test.each([
    ["words of a macro", "#define BPF_LICENSE Proprietary\n"],
    ["an empty macro", "#define BPF_LICENSE\n"],
    ["a variable", 'char license[] SEC("license") = "none";\n'],
  ])("%s that is not the GPL's: what needs the GPL is refused", (_, text) => {
    using b = open(`${text}${PRINT}`);
    expect(failure(VerifierError, () => b.load_func("f", 17)).log).toMatch(/GPL/i);
  });

  test("a licence in cflags is refused, as in BCC", () => {
    const error = failure(UsageError, () => open(PRINT, { cflags: ["-DBPF_LICENSE=GPL"] }));
    expect(error.hint).toContain("#define BPF_LICENSE");
  });

  test("a function may be called license", () => {
    using b = open(`static __attribute__((noinline)) int license(int x) { return x * 2; }
      int f(${CTX}) { return license(ctx->args[0]); }`);
    expect(run(b, "f", 21)).toBe(42);
  });
});
