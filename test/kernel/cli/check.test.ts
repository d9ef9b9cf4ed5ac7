import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { CheckReport } from "../../../framework/bcc/check.ts";
import { check as runCheck } from "../../../framework/cli/check.ts";
import { findClang } from "../../../framework/compile/clang.ts";
import { readObject } from "../../../framework/object/read-object.ts";
import { findCommand } from "../../guest/tools.ts";
import { needsKernel } from "../../support/skip.ts";

const command = fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url));

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-check-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function file(text: string, name = "main.c"): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function check(args: readonly string[], input = "") {
  return spawnSync(process.execPath, [command, "check", ...args], { encoding: "utf8", input, cwd: folder });
}

/** Without the start of a process. */
async function inProcess(args: readonly string[]) {
  const printed = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      printed[stream] += String(text);
      return true;
    }),
  );
  try {
    const status = await runCheck(args);
    return { status, ...printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function reportOf(args: readonly string[], input = ""): { readonly status: number | null } & CheckReport {
  const { status, stdout, stderr } = check([...args, "--json"], input);
  expect(stdout.trimEnd().split("\n"), stderr).toHaveLength(1);
  return { status, ...(JSON.parse(stdout) as CheckReport) };
}

const GOOD = `
BPF_HASH(counts, u32, u64, 128);
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
  u32 who = args->who;
  counts.increment(who);
  return 0;
}
int plain(struct pt_regs *ctx) {
  u64 now = bpf_ktime_get_ns();
  events.perf_submit(ctx, &now, sizeof(now));
  return 0;
}
`;

const BAD_STORE = `
int kprobe__do_nanosleep(void *ctx) {
  u64 key = bpf_get_current_pid_tgid();

  /* Nothing says what lies there. */
  *(int *)(key + 8) = 1;
  return 0;
}
`;

describe("rxbpf check --json", () => {
  test("tells programs, maps, findings and times of a good source, and exits 0", (context) => {
    needsKernel(context);
    const report = reportOf([file(GOOD), "--prog", "plain=kprobe"]);
    expect(Object.keys(report)).toEqual(["status", "ok", "programs", "maps", "diagnostics", "seconds"]);
    expect(report).toMatchObject({ status: 0, ok: true, diagnostics: [] });
    expect(report.programs).toEqual([
      {
        name: "tracepoint__syscalls__sys_enter_getpriority",
        type: "tracepoint",
        ok: true,
        insns: expect.any(Number),
      },
      { name: "plain", type: "kprobe", ok: true, insns: expect.any(Number) },
    ]);
    expect(report.programs.every(({ insns }) => insns > 5)).toBe(true);
    expect(report.maps).toContainEqual({
      name: "counts",
      type: "hash",
      key_size: 4,
      value_size: 8,
      max_entries: 128,
    });
    expect(report.maps.map(({ name, type }) => [name, type])).toContainEqual(["events", "perf_event_array"]);
    expect(Object.keys(report.seconds)).toEqual(["rewrite", "compile", "load"]);
    expect(report.seconds.load).toBeGreaterThan(0);
  });

  test("shows a finding about the source at its line, and exits 1", () => {
    const path = file("BPF_HASH(counts, u32);\nint f(void *ctx) {\n  counts.incremnt(1);\n  return 0;\n}\n");
    const report = reportOf([path, "--no-load"]);
    expect(report).toMatchObject({ status: 1, ok: false, programs: [], maps: [] });
    expect(report.diagnostics).toEqual([
      {
        severity: "error",
        code: "UNKNOWN_METHOD",
        message: expect.stringContaining("incremnt"),
        file: path,
        line: 3,
        column: 10,
        hint: expect.stringContaining("increment"),
      },
    ]);
  });

  test("shows a compiler's finding with all keys, those without a value as null", () => {
    const path = file("int f(void *ctx) {\n  return missing;\n}\n");
    const { status, diagnostics } = reportOf([path, "--no-load"]);
    expect(status).toBe(1);
    expect(diagnostics).toEqual([
      {
        severity: "error",
        code: "CLANG",
        message: "use of undeclared identifier 'missing'",
        file: path,
        line: 2,
        column: 10,
        hint: null,
      },
    ]);
  });

  test("a rejection has the user's line and the verifier's log, and exits 1", (context) => {
    needsKernel(context);
    const path = file(BAD_STORE);
    const { status, ok, programs } = reportOf([path]);
    expect({ status, ok }).toEqual({ status: 1, ok: false });
    const [program] = programs;
    expect(Object.keys(program!)).toEqual(["name", "type", "ok", "insns", "error", "log"]);
    expect(Object.keys(program!.error!)).toEqual(["code", "message", "file", "line", "column", "hint"]);
    expect(program).toMatchObject({ ok: false, error: { code: "VERIFIER", file: path, line: 6 } });
    expect(program!.log).toContain("invalid mem access");
  });

  test("a function of unknown kind fails at its own line with what to write; without loading it passes", (context) => {
    needsKernel(context);
    const path = file("\nint hello(void *ctx) {\n  return 0;\n}\n");
    expect(reportOf([path])).toMatchObject({
      status: 1,
      ok: false,
      programs: [
        {
          name: "hello",
          type: null,
          ok: false,
          error: {
            code: "UNKNOWN_KIND",
            file: path,
            line: 2,
            hint: expect.stringContaining("--prog hello="),
          },
        },
      ],
    });
    expect(reportOf([path, "--no-load"])).toMatchObject({ status: 0, ok: true });
  });

  test("a map that the kernel refuses is a finding where the source names it, and its programs fail", (context) => {
    needsKernel(context);
    const path = file(
      "BPF_ARRAY(small, u32, 1);\nBPF_ARRAY(huge, u64, 4294967295);\nTRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {\n  int k = 0;\n  u64 *v = huge.lookup(&k);\n  return v ? *v : 0;\n}\n",
    );
    const report = reportOf([path]);
    expect(report).toMatchObject({ status: 1, ok: false });
    expect(report.diagnostics).toMatchObject([
      { severity: "error", code: "MAP_CREATE", file: path, line: 2, column: 11 },
    ]);
    expect(report.programs).toMatchObject([{ ok: false, error: { code: "MAP_CREATE", line: 2 } }]);
    expect(report.maps.find(({ name }) => name === "huge")).toEqual({
      name: "huge",
      type: "array",
      key_size: 4,
      value_size: 8,
      max_entries: 4294967295,
    });
  });

  test("reads the source from standard input for -", () => {
    const input = "int f(void *ctx) {\n  return missing;\n}\n";
    const { status, diagnostics } = reportOf(["-", "--no-load"], input);
    expect({ status, diagnostics }).toMatchObject({ status: 1, diagnostics: [{ file: "<stdin>", line: 2 }] });
  });

  test("--cflag passes definitions and folders", () => {
    writeFileSync(join(folder, "own.h"), "#define ANSWER 42\n");
    const path = file("#include <own.h>\nint f(void *ctx) { return ANSWER + MORE; }\n");
    expect(reportOf([path, "--no-load", "--cflag=-DMORE=1", `--cflag=-I${folder}`])).toMatchObject({
      ok: true,
    });
    expect(reportOf([path, "--no-load", `--cflag=-I${folder}`])).toMatchObject({ ok: false });
  });
});

describe("rxbpf check --prog", () => {
  test("takes kinds, libbpf's sections and BCC's words, and loads each function as what it was given", (context) => {
    needsKernel(context);
    const kinds = {
      socket_filter: "socket_filter",
      SCHED_CLS: "sched_cls",
      tc: "sched_cls",
      classifier: "sched_cls",
      xdp: "xdp",
      kprobe: "kprobe",
      kretprobe: "kretprobe",
      uprobe: "uprobe",
      tracepoint: "tracepoint",
      tp: "tracepoint",
      raw_tracepoint: "raw_tracepoint",
      raw_tp: "raw_tracepoint",
      perf_event: "perf_event",
      "cgroup/skb": "cgroup_skb",
      "tp_btf/sched_switch": "tp_btf",
    };
    const words = Object.keys(kinds);
    const text = words.map((_, index) => `int f${index}(void *ctx) {\n  return 0;\n}\n`).join("");
    const roles = words.flatMap((word, index) => ["--prog", `f${index}=${word}`]);
    const { programs } = reportOf([file(text), ...roles]);
    expect(programs.map(({ name, type, ok }) => [name, type, ok])).toEqual(
      Object.values(kinds).map((kind, index) => [`f${index}`, kind, true]),
    );
  });

  test.each([
    {
      prog: ["f=kprob"],
      complaint: /--prog takes FUNCTION=TYPE, not "f=kprob"\n {2}hint: did you mean kprobe/,
    },
    { prog: ["f=banana"], complaint: /hint: types are socket_filter, kprobe, / },
    { prog: ["f"], complaint: /--prog takes FUNCTION=TYPE, not "f"/ },
    { prog: ["=xdp"], complaint: /--prog takes FUNCTION=TYPE, not "=xdp"/ },
    { prog: ["f=xdp", "f=tc"], complaint: /--prog gives "f" two types/ },
    { prog: ["ff=xdp"], complaint: /the source has no program function "ff"\n {2}hint: did you mean f/ },
  ])("refuses $prog with exit 2", async ({ prog, complaint }) => {
    const path = file("int f(void *ctx) {\n  return 0;\n}\n");
    const run = await inProcess([path, "--no-load", ...prog.flatMap((word) => ["--prog", word])]);
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toMatch(complaint);
  });
});

describe("rxbpf check with wrong arguments", () => {
  test.each([
    { args: [], complaint: /give one source file/ },
    { args: ["one.c", "two.c"], complaint: /give one source file/ },
    { args: ["/absent.c"], complaint: /cannot read \/absent\.c: ENOENT/ },
    { args: ["."], complaint: /cannot read \.: EISDIR/ },
    { args: ["--what", "main.c"], complaint: /Unknown option '--what'/ },
    { args: ["main.c", "--emit", "asm"], complaint: /--emit takes "c" or "object", not "asm"/ },
    { args: ["main.c", "--output", "x"], complaint: /--output says where --emit writes/ },
    { args: ["main.c", "--emit", "c", "--json"], complaint: /--emit c prints the C itself/ },
    { args: ["-", "--emit", "object"], complaint: /give --output too/ },
  ])("$args: says why and exits 2", async ({ args, complaint }) => {
    const run = await inProcess(args);
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toMatch(complaint);
  });

  test("--help prints the usage and exits 0", async () => {
    const { status, stdout } = await inProcess(["--help"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^usage: rxbpf check FILE\.c/);
  });
});

/** Types by section are what libbpf and bpftool go by. */
const SECTIONED = `
struct event { u32 pid; char comm[16]; };
BPF_HASH(counts, u32, u64);
BPF_PERCPU_ARRAY(slots, u64, 4);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_PERF_OUTPUT(events);
BPF_STACK_TRACE(stacks, 64);
BPF_HISTOGRAM(dist);
TRACEPOINT_PROBE(syscalls, sys_enter_getpriority) {
  struct event event = {};
  event.pid = args->who;
  bpf_get_current_comm(&event.comm, sizeof(event.comm));
  events.perf_submit(args, &event, sizeof(event));
  ring.ringbuf_output(&event, sizeof(event), 0);
  counts.increment(event.pid);
  dist.increment(bpf_log2l(event.pid));
  stacks.get_stackid(args, 0);
  return 0;
}
RAW_TRACEPOINT_PROBE(sched_switch) {
  struct task_struct *next = (struct task_struct *)ctx->args[2];
  u32 pid = next->pid;
  counts.increment(pid);
  return 0;
}
int filter(struct __sk_buff *skb) { return skb->len; }
int classify(struct __sk_buff *skb) { slots.increment(1); return 0; }
int drop(struct xdp_md *ctx) { return XDP_PASS; }
int sample(struct bpf_perf_event_data *ctx) { return 0; }
int kprobe__do_nanosleep(struct pt_regs *ctx, void *timer, int mode) { return mode; }
int probe(struct pt_regs *ctx) { bpf_trace_printk("called\\\\n"); return 0; }
`;

const SECTIONED_ROLES = [
  "filter=socket_filter",
  "classify=sched_cls",
  "drop=xdp",
  "sample=perf_event",
  "probe=kprobe",
].flatMap((role) => ["--prog", role]);

describe("rxbpf check --emit", () => {
  test("object writes beside the source what bpftool, and so libbpf, loads with every program's type", (context) => {
    needsKernel(context);
    const bpftool = findCommand("bpftool");
    if (bpftool === undefined) return context.skip("bpftool is not installed");
    const path = file(SECTIONED);
    const { status, stdout, stderr } = check([path, "--emit", "object", ...SECTIONED_ROLES]);
    expect(status, stdout + stderr).toBe(0);
    const pins = join("/sys/fs/bpf", `rxbpf_check_${process.pid}`);
    const load = spawnSync(bpftool, ["prog", "loadall", join(folder, "main.o"), pins], { encoding: "utf8" });
    try {
      expect(load.status, load.stderr).toBe(0);
      const types = readdirSync(pins).map((name) => {
        const shown = spawnSync(bpftool, ["-j", "prog", "show", "pinned", join(pins, name)], {
          encoding: "utf8",
        });
        return [name, (JSON.parse(shown.stdout) as { type: string }).type];
      });
      expect(Object.fromEntries(types)).toEqual({
        classify: "sched_cls",
        drop: "xdp",
        filter: "socket_filter",
        kprobe__do_nanosleep: "kprobe",
        probe: "kprobe",
        raw_tracepoint__sched_switch: "raw_tracepoint",
        sample: "perf_event",
        tracepoint__syscalls__sys_enter_getpriority: "tracepoint",
      });
    } finally {
      unpin(pins);
    }
  });

  test("object makes one from which bpftool generates a skeleton", (context) => {
    // The format of a tracepoint is for those who may see tracefs.
    needsKernel(context);
    const bpftool = findCommand("bpftool");
    if (bpftool === undefined) return context.skip("bpftool is not installed");
    const output = join(folder, "out.o");
    const run = check([
      file(SECTIONED),
      "--no-load",
      "--emit",
      "object",
      "--output",
      output,
      ...SECTIONED_ROLES,
    ]);
    expect(run.status, run.stderr).toBe(0);
    const skeleton = spawnSync(bpftool, ["gen", "skeleton", output, "name", "sample"], { encoding: "utf8" });
    expect(skeleton.status, skeleton.stderr).toBe(0);
    for (const name of ["counts", "ring", "events", "stacks"])
      expect(skeleton.stdout).toContain(`struct bpf_map *${name};`);
    expect(skeleton.stdout).toContain("struct bpf_program *kprobe__do_nanosleep;");
  });

  test("c prints one text that compiles by itself, for bare clang, to the same programs", (context) => {
    needsKernel(context);
    const path = file(SECTIONED);
    const printed = check([path, "--emit", "c", ...SECTIONED_ROLES]);
    expect(printed.status, printed.stderr).toBe(0);
    expect(printed.stdout).not.toContain("#include");
    const [program, ...first] = findClang().command;
    const output = join(folder, "bare.o");
    const args = ["-target", "bpf", "-O2", "-g", "-mcpu=v3", "-nostdinc", "-x", "c", "-c", "-o", output, "-"];
    const compiled = spawnSync(program, [...first, ...args], { encoding: "utf8", input: printed.stdout });
    expect(compiled.status, compiled.stderr).toBe(0);
    expect(compiled.stderr).toBe("");
    check([path, "--no-load", "--emit", "object", ...SECTIONED_ROLES]);
    expect(codeOf(output)).toEqual(codeOf(join(folder, "main.o")));
  });

  test("c with --output writes the text and reports as usual", (context) => {
    needsKernel(context);
    const output = join(folder, "lowered.c");
    const report = reportOf([file(GOOD), "--no-load", "--emit", "c", "--output", output]);
    expect(report.ok).toBe(true);
    expect(readFileSync(output, "utf8")).toContain("bcc_increment(&counts");
  });

  test("of a source with mistakes shows them and writes nothing", () => {
    const path = file("int f(void *ctx) {\n  return missing;\n}\n");
    const run = check([path, "--no-load", "--emit", "object"]);
    expect(run.status).toBe(1);
    expect(run.stdout).toContain("use of undeclared identifier 'missing'");
    expect(readdirSync(folder)).toEqual(["main.c"]);
  });
});

/** Sizes of an object's functions by name, as the symbol table has them. */
function codeOf(path: string): Readonly<Record<string, number>> {
  const { programs } = readObject(new Uint8Array(readFileSync(path)));
  return Object.fromEntries(programs.map(({ name, insns }) => [name, insns.length]));
}

function unpin(pins: string): void {
  if (!existsSync(pins)) return;
  for (const name of readdirSync(pins)) unlinkSync(join(pins, name));
  rmdirSync(pins);
}
