import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { findClang, runClang } from "../../../framework/compile/clang.ts";
import { compileFlags, targetFlags } from "../../../framework/compile/flags.ts";
import { kernelTypes } from "../../../framework/compile/kernel-types.ts";
import { headersFolder } from "../../../framework/compile/preprocess.ts";
import { kernelBtf } from "../../../framework/kernel/environment.ts";
import { Btf, type BtfType } from "../../../framework/object/btf.ts";
import { Elf } from "../../../framework/object/elf.ts";
import { compileText, fixtureKernel, lowerText } from "../rewriter/lowering.ts";

type Record = BtfType & { readonly kind: "struct" | "union" };

const base = readFileSync(join(headersFolder, "base.h"), "utf8");
const baseNames = new Set([...base.matchAll(/^typedef .*?(\w+);$/gm)].map((match) => match[1]!));
const baseTags = new Set([...base.matchAll(/^struct (\w+) \{/gm)].map((match) => match[1]!));

/** Structs that sources use most, and some with bit fields, packing, or many unions. */
const WANTED =
  `task_struct sock sk_buff file request net_device bio tcp_sock mm_struct inode dentry path cred nsproxy
  inet_sock inet_connection_sock request_queue gendisk block_device super_block vm_area_struct page folio cgroup
  signal_struct files_struct pid pid_namespace net socket msghdr iov_iter kiocb linux_binprm sched_entity rq cfs_rq
  hrtimer work_struct workqueue_struct irq_desc irqaction perf_event bpf_prog bpf_map bpf_verifier_env pt_regs
  __sk_buff xdp_md bpf_sock_ops ethhdr iphdr ipv6hdr tcphdr udphdr sockaddr_in sockaddr_in6 in6_addr address_space
  bio_vec blk_mq_hw_ctx cpumask rcu_head seq_file kernfs_node mount vfsmount ip_tunnel_key flowi4 flowi6 dst_entry
  neighbour skb_shared_info scatterlist device driver bus_type module kmem_cache zone pglist_data mmu_gather`.split(
    /\s+/,
  );

/** Every so many of the kernel's other records. */
const EVERY = 20;

interface Sampled {
  readonly id: number;
  readonly type: Record;
}

/** Records that a source can name: of several that share a name, the first. */
function sample(btf: Btf): readonly Sampled[] {
  const found = new Map<string, Sampled>();
  const add = (id: number): void => {
    const type = id === 0 ? undefined : btf.type(id);
    if ((type?.kind !== "struct" && type?.kind !== "union") || type.name === "" || baseTags.has(type.name))
      return;
    if (btf.find(type.name, "struct", "union", "enum", "enum64") === id) found.set(type.name, { id, type });
  };
  for (const tag of WANTED) add(btf.find(tag, "struct", "union"));
  let count = 0;
  for (let id = 1; id < btf.endId; id++) {
    const kind = btf.kindOf(id);
    if ((kind === "struct" || kind === "union") && ++count % EVERY === 0) add(id);
  }
  return [...found.values()];
}

/** Members by the path a source writes, through unnamed records, with their place in bits. */
function membersOf(
  btf: Btf,
  type: Record,
  base = 0,
): readonly (Record["members"][number] & { readonly at: number })[] {
  return type.members.flatMap((member) => {
    const at = base + member.bitOffset;
    if (member.name !== "") return [{ ...member, at }];
    const inner = btf.type(btf.resolve(member.type));
    return inner.kind === "struct" || inner.kind === "union" ? membersOf(btf, inner, at) : [];
  });
}

/** The kernel's records as C, and below them a text of the test's. */
function withTypes(btf: Btf, records: readonly Sampled[], text: string): string {
  const request = {
    tags: new Set(records.map(({ type }) => type.name)),
    words: new Set<string>(),
    members: new Set<string>(),
    definedTags: baseTags,
    definedNames: baseNames,
  };
  return `${base}\n${kernelTypes(btf, request)}\n# 1 "test"\n${text}`;
}

const at = (file: string, line: number, column: number) => ({ file, line, column });

describe("records of the running kernel, written as C,", () => {
  let btf: Btf;
  let records: readonly Sampled[] | undefined;

  beforeEach((context) => {
    const found = kernelBtf();
    if (found === null) return context.skip("this kernel offers no types in /sys/kernel/btf/vmlinux");
    btf = found;
    records ??= sample(btf);
  });

  const sampled = () => records ?? [];

  test("are at least 300, with those that sources use most", () => {
    const tags = new Set(sampled().map(({ type }) => type.name));
    expect(tags.size).toBeGreaterThanOrEqual(300);
    const known = "task_struct sock sk_buff file request net_device bio tcp_sock mm_struct".split(" ");
    expect(known.filter((tag) => btf.find(tag, "struct") !== 0 && !tags.has(tag))).toEqual([]);
  });

  test("have the kernel's sizes and offsets", () => {
    const asserts: string[] = [];
    for (const { type } of sampled()) {
      const tag = `${type.kind} ${type.name}`;
      asserts.push(`_Static_assert(sizeof(${tag}) == ${type.size}, "");`);
      for (const member of membersOf(btf, type)) {
        if (member.bitSize !== 0) continue;
        const size = btf.sizeOf(member.type);
        asserts.push(
          `_Static_assert(__builtin_offsetof(${tag}, ${member.name}) == ${member.at / 8}, "");`,
          `_Static_assert(sizeof(((${tag} *)0)->${member.name}) == ${size}, "");`,
        );
      }
    }
    const text = withTypes(btf, sampled(), asserts.join("\n"));
    runClang(findClang(), [...targetFlags, "-fsyntax-only", "-x", "c", "-"], text, at);
    expect(asserts.length).toBeGreaterThan(3000);
  });

  test("have the kernel's bit fields", () => {
    const withBits = sampled().filter(({ type }) =>
      membersOf(btf, type).some((member) => member.bitSize !== 0),
    );
    expect(withBits.length).toBeGreaterThan(10);
    // A pointer variable puts the whole record into the object's BTF.
    const text = withBits
      .map(({ type }, index) => `${type.kind} ${type.name} *variable_${index};`)
      .join("\n");
    const args = [...targetFlags, ...compileFlags, "-x", "c", "-c", "-o", "-", "-"];
    const { stdout } = runClang(findClang(), args, withTypes(btf, withBits, text), at);
    const written = new Btf(new Elf(new Uint8Array(stdout)).section(".BTF")!.data);
    for (const { type } of withBits) {
      const bits = (from: Btf, record: BtfType) =>
        membersOf(from, record as Record)
          .filter((member) => member.bitSize !== 0)
          .map(({ name, at: place, bitSize }) => `${type.name}.${name} ${place}:${bitSize}`);
      expect(bits(written, written.type(written.find(type.name, type.kind)))).toEqual(bits(btf, type));
    }
  });
});

/** Compiles a source for the fixtures' kernel. */
function compiled(text: string): Uint8Array {
  const lowered = lowerText(text);
  expect(lowered.shown).toBe("");
  return compileText(lowered);
}

describe("what a source defines itself wins over the kernel's", () => {
  test.each([
    [
      "a struct",
      "struct task_struct { int only; };\nint f(void *ctx) { struct task_struct t = {1}; return t.only + sizeof(char[sizeof(t) == 4 ? 1 : -1]); }",
    ],
    [
      "a struct that a kernel struct points to",
      "struct mm_struct { int mine; };\nint f(void *ctx) { struct task_struct t = {}; struct mm_struct *m = (void *)t.mm; return t.pid + (m ? m->mine : 0); }",
    ],
    [
      "an enumerator",
      "enum { XDP_PASS = 77 };\nint f(struct xdp_md *ctx) { char ok[XDP_PASS == 77 ? 1 : -1]; return XDP_DROP + sizeof(ok); }",
    ],
    [
      "a macro",
      "#define XDP_PASS 78\nint f(struct xdp_md *ctx) { char ok[XDP_PASS == 78 ? 1 : -1]; return XDP_DROP + sizeof(ok); }",
    ],
    [
      "a typedef",
      "typedef struct { char c[3]; } u16;\nint f(void *ctx) { return sizeof(char[sizeof(u16) == 3 ? 1 : -1]); }",
    ],
    [
      "a typedef of the same meaning",
      "typedef unsigned int u32;\ntypedef unsigned long long __u64;\ntypedef _Bool bool;\nint f(void *ctx) { u32 a = 1; bool b = a; return b; }",
    ],
    [
      "a typedef of another meaning",
      "typedef unsigned long u64;\ntypedef char bool;\ntypedef long int64_t;\nint f(void *ctx) { u64 a = 1; return a; }",
    ],
    [
      "BCC's record of stacks",
      "struct bpf_stacktrace { u64 ip[3]; };\nint f(void *ctx) { return sizeof(struct bpf_stacktrace); }",
    ],
    [
      "the older loaders' map record",
      "struct bpf_map_def { int type, key_size, value_size, max_entries; };\nint f(void *ctx) { return sizeof(char[sizeof(struct bpf_map_def) == 16 ? 1 : -1]); }",
    ],
    ["a local variable", "int f(void *ctx) { int XDP_PASS = 3, u32 = 4; return XDP_PASS + u32; }"],
  ])("%s", (_, text) => {
    expect(compiled(text).length).toBeGreaterThan(0);
  });

  test("but a table or function called like a struct leaves the struct", () => {
    const text = `BPF_HASH(task_struct, u32, struct task_struct *);
BPF_HASH(inode, struct inode *, u64);
static int mm_struct(struct mm_struct *m) { return m->users; }
int f(struct pt_regs *ctx) { struct task_struct t = {}; struct mm_struct m = {}; task_struct.delete(&(u32){1}); return t.pid + mm_struct(&m); }`;
    expect(compiled(text).length).toBeGreaterThan(0);
  });
});

test("kernel records may have members called like words of kernel headers", () => {
  const object = runClang(
    findClang(),
    ["-target", "bpf", "-g", "-c", "-o", "-", "-x", "c", "-"],
    "struct odd { int __init, __user, __packed, __weak; long offsetof; }; struct odd *variable;",
    at,
  ).stdout;
  const types = new Btf(new Elf(new Uint8Array(object)).section(".BTF")!.data);
  const lowered = lowerText("int f(void *ctx) { struct odd odd = {}; return sizeof(odd); }");
  const text = kernelTypes(types, { ...lowered.mentions });
  expect(text).toBe("struct odd { int __init; int __user; int __packed; int __weak; long offsetof; };");
});

describe("only what a source reaches is written", () => {
  const typesFor = (text: string) => kernelTypes(fixtureKernel.types()!, lowerText(text).mentions);

  test("nothing for a source that names nothing of the kernel's", () => {
    expect(typesFor("int f(void *ctx) { return 0; }")).toBe("");
  });

  test("a record's pointers lead to names alone", () => {
    const text = typesFor("int f(void *ctx) { struct task_struct t = {}; return t.pid; }");
    expect(text).toContain("struct mm_struct;");
    expect(text).not.toContain("users");
  });

  test("a pointer that the source follows leads to the record", () => {
    expect(typesFor("int f(struct pt_regs *ctx, struct task_struct *t) { return t->mm->users; }")).toContain(
      "int users;",
    );
  });

  test("an enum comes for one of its values, and no other enum", () => {
    const text = typesFor("int f(void *ctx) { return XDP_DROP; }");
    expect(text).toContain("XDP_DROP = 1");
    expect(text).not.toContain("BPF_ANY");
  });
});
