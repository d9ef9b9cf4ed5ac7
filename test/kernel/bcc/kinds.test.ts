import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, type TestContext, test } from "vitest";
import { BPF, BPFAttachType, type BuildIdFrame, UnsupportedError } from "../../../framework/index.ts";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { Fd } from "../../../framework/sys/fd.ts";
import { checked, libc } from "../../../framework/sys/libc.ts";
import { type MapKindName, mapKinds } from "../../../maps/kinds.ts";
import { run, runOnPacket } from "../../support/events.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";
import { OwnCgroup } from "./cgroup.ts";
import { connection, fdOf } from "./connections.ts";
import { open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const PACKET = new Uint8Array(64);
/** Answers of XDP programs. */
const [XDP_PASS, XDP_REDIRECT] = [2, 4];

/** A program counts under a key and reads what the host wrote under another; both sides see both. */
function keyed(kind: MapKindName): void {
  using b = open(`struct key { u32 a; u16 b; }; struct value { u64 count; char name[8]; };
    BPF_TABLE("${kind}", struct key, struct value, t, 64);
    int f(${CTX}) {
      struct key own = { .a = 1 }, theirs = { .a = 2, .b = 3 };
      struct value first = { .count = 5, .name = "program" };
      t.update(&own, &first);
      struct value *seen = t.lookup(&theirs);
      return seen ? seen->count : -1;
    }`);
  const t = b.get_table<{ a: number; b?: number }, unknown>("t");
  const all = (value: unknown): unknown => (mapKinds[kind].perCpu ? onAllCpus(value) : value);
  expect(run(b, "f")).toBe(-1);
  t.set({ a: 2, b: 3 }, all({ count: 7n, name: "host" }));
  expect(run(b, "f")).toBe(7);
  expect(t.size).toBe(2);
  const own = t.get({ a: 1 });
  expect(mapKinds[kind].perCpu ? own : [own]).toContainEqual({ count: 5n, name: "program" });
  expect(t.delete({ a: 2, b: 3 })).toBe(true);
  expect(run(b, "f")).toBe(-1);
}

/** The same value for every possible CPU. */
function onAllCpus<T>(value: T): T[] {
  using runtime = new KernelRuntime();
  return Array.from({ length: runtime.cpuCount }, () => value);
}

function indexed(kind: "array" | "percpu_array"): void {
  using b = open(`BPF_TABLE("${kind}", int, u64, t, 4);
    int f(${CTX}) {
      int own = 1, theirs = 2;
      t.increment(own, 5);
      u64 *seen = t.lookup(&theirs);
      return seen ? *seen : -1;
    }`);
  const t = b.get_table<number, unknown>("t");
  const isPerCpu = mapKinds[kind].perCpu;
  t.set(2, isPerCpu ? onAllCpus(9n) : 9n);
  expect(run(b, "f")).toBe(9);
  expect(isPerCpu ? t.sum(1) : t.get(1)).toBe(5n);
  expect(t.keys().next().value).toBe(0);
}

function queued(kind: "queue" | "stack"): void {
  const macro = { queue: "BPF_QUEUE", stack: "BPF_STACK" }[kind];
  using b = open(`${macro}(t, u32, 4);
    int add(${CTX}) { u32 value = ctx->args[0]; return t.push(&value, 0); }
    int take(${CTX}) { u32 value = 0; return t.pop(&value) ? -1 : value; }
    int look(${CTX}) { u32 value = 0; return t.peek(&value) ? -1 : value; }`);
  const t = b.get_table<never, number>("t");
  expect([run(b, "take"), t.peek()]).toEqual([-1, undefined]);
  run(b, "add", 1);
  run(b, "add", 2);
  t.push(3);
  const order = kind === "queue" ? [1, 2, 3] : [3, 2, 1];
  expect([run(b, "look"), t.peek()]).toEqual([order[0], order[0]]);
  expect([run(b, "take"), t.pop(), run(b, "take"), t.pop()]).toEqual([...order, undefined]);
}

function nested(kind: "array_of_maps" | "hash_of_maps"): void {
  using b = open(`BPF_ARRAY(one, u64, 2); BPF_ARRAY(two, u64, 2);
    BPF_TABLE("${kind}$one", int, int, outer, 4);
    int f(${CTX}) {
      int slot = 3, index = 1;
      void *inner = outer.lookup(&slot);
      u64 *value = inner ? bpf_map_lookup_elem(inner, &index) : 0;
      return value ? *value : -1;
    }`);
  const outer = b.get_table<number>("outer");
  b.get_table<number, bigint>("two").set(1, 22n);
  expect([run(b, "f"), outer.get(3)]).toEqual([-1, undefined]);
  outer.set(3, b.get_table("two"));
  expect([run(b, "f"), outer.get(3)]).toEqual([22, b.get_table("two").id]);
}

/** A program at XDP asks for what the host put there, and passes packets on where there is nothing. */
function redirecting(kind: MapKindName, key: number, put: (b: BPF) => unknown, value: unknown): void {
  using b = open(`BPF_TABLE("${kind}", u32, u32, t, 4);
    int f(struct xdp_md *ctx) { return t.redirect_map(${key}, XDP_PASS); }`);
  const answer = (): number => runOnPacket(b, "f", BPF.XDP, PACKET).result;
  expect(answer()).toBe(XDP_PASS);
  put(b);
  expect(answer()).toBe(XDP_REDIRECT);
  const t = b.get_table<number, number>("t");
  if (value !== undefined) expect(t.get(key)).toBe(value);
  expect(t.delete(key)).toBe(true);
  expect(answer()).toBe(XDP_PASS);
}

/** A program at tc finds the connection that the host put there. */
async function sockets(kind: "sockmap" | "sockhash"): Promise<void> {
  using b = open(`BPF_TABLE("${kind}", u32, u64, t, 4);
    int f(struct __sk_buff *skb) {
      u32 key = 2;
      struct bpf_sock *sk = t.lookup(&key);
      if (!sk) return -1;
      int port = sk->src_port;
      bpf_sk_release(sk);
      return port;
    }`);
  const t = b.get_table<number, bigint>("t");
  const { client, end } = await connection(0);
  try {
    const found = (): number => runOnPacket(b, "f", BPF.SCHED_CLS, PACKET).result;
    expect(found()).toBe(-1);
    t.set(2, { fd: fdOf(client) });
    expect(found()).toBe(client.localPort);
    expect(t.get(2)).toBeGreaterThan(0n);
    expect([t.delete(2), found()]).toEqual([true, -1]);
  } finally {
    end();
  }
}

/** What a datagram from a socket of this process, while it is in a cgroup of its own, makes a program there do. */
async function insideCgroup(
  text: string,
  check: (
    b: BPF,
    place: { readonly fd: number; readonly folder: string; send(): Promise<void> },
  ) => Promise<void>,
): Promise<void> {
  const before = readFileSync("/proc/self/cgroup", "utf8")
    .split("\n")
    .find((line) => line.startsWith("0::"));
  using cgroup = new OwnCgroup();
  const root = cgroup.folder.slice(0, cgroup.folder.lastIndexOf("/"));
  const enter = (folder: string): void => writeFileSync(join(folder, "cgroup.procs"), `${process.pid}`);
  const socket = createSocket("udp4");
  try {
    enter(cgroup.folder);
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    using b = open(text);
    b.attach_func(b.load_func("f", BPF.CGROUP_SKB), cgroup.folder, BPFAttachType.CGROUP_INET_EGRESS);
    const send = async (): Promise<void> => {
      const arrived = once(socket, "message");
      socket.send("hello", socket.address().port, "127.0.0.1");
      await arrived;
    };
    await check(b, { fd: fdOf(socket), folder: cgroup.folder, send });
  } finally {
    enter(join(root, before?.slice("0::".length) ?? ""));
    socket.close();
  }
}

function cgroupStorage(kind: "cgroup_storage" | "percpu_cgroup_storage"): Promise<void> {
  const isPerCpu = kind === "percpu_cgroup_storage";
  const macro = isPerCpu ? "BPF_PERCPU_CGROUP_STORAGE" : "BPF_CGROUP_STORAGE";
  return insideCgroup(
    `${macro}(t, u64); int f(struct __sk_buff *skb) {
      u64 *count = t.get_local_storage(0);
      __sync_fetch_and_add(count, 1);
      return 1;
    }`,
    async (b, { send }) => {
      type Key = { cgroup_inode_id: bigint; attach_type: number };
      const t = b.get_table<Key, bigint | bigint[]>("t");
      await send();
      await send();
      const [[key, value] = []] = t.items();
      expect(key?.attach_type).toBe(BPFAttachType.CGROUP_INET_EGRESS);
      expect(isPerCpu ? (value as bigint[]).reduce((a, c) => a + c) : value).toBe(2n);
      t.set(key!, isPerCpu ? (value as bigint[]).map(() => 0n) : 40n);
      await send();
      expect(isPerCpu ? t.sum(key!) : t.get(key!)).toBe(isPerCpu ? 1n : 41n);
    },
  );
}

/** What each kind is used for on both sides. */
const kinds: Readonly<Record<MapKindName, (context: TestContext) => void | Promise<void>>> = {
  hash: () => keyed("hash"),
  lru_hash: () => keyed("lru_hash"),
  percpu_hash: () => keyed("percpu_hash"),
  lru_percpu_hash: () => keyed("lru_percpu_hash"),
  array: () => indexed("array"),
  percpu_array: () => indexed("percpu_array"),
  queue: () => queued("queue"),
  stack: () => queued("stack"),
  array_of_maps: () => nested("array_of_maps"),
  hash_of_maps: () => nested("hash_of_maps"),
  lpm_trie() {
    using b = open(`struct prefix { u32 length; u8 address[4]; };
      BPF_LPM_TRIE(t, struct prefix, u32);
      int f(${CTX}) {
        struct prefix own = { .length = 16, .address = { 10, 1 } }, asked = { .length = 32, .address = { 10, 1, 2, 3 } };
        u32 wide = 16, *found;
        if (ctx->args[0]) t.update(&own, &wide);
        found = t.lookup(&asked);
        return found ? *found : -1;
      }`);
    const t = b.get_table<{ length: number; address: Uint8Array }, number>("t");
    expect(run(b, "f", 0)).toBe(-1);
    t.set({ length: 8, address: Uint8Array.of(10) }, 8);
    expect([run(b, "f", 0), run(b, "f", 1)]).toEqual([8, 16]);
    expect(t.get({ length: 32, address: Uint8Array.of(10, 1, 0, 0) })).toBe(16);
    expect(t.size).toBe(2);
  },
  bloom_filter() {
    using b = open(`BPF_TABLE("bloom_filter", int, u32, t, 100);
      int add(${CTX}) { u32 value = ctx->args[0]; return t.push(&value, 0); }
      int has(${CTX}) { u32 value = ctx->args[0]; return t.peek(&value) == 0; }`);
    const t = b.get_table<never, number>("t");
    run(b, "add", 3);
    t.add(4);
    expect([run(b, "has", 3), run(b, "has", 4), run(b, "has", 5)]).toEqual([1, 1, 0]);
    expect([t.has(3), t.has(4), t.has(5)]).toEqual([true, true, false]);
  },
  prog_array() {
    using b = open(`BPF_PROG_ARRAY(t, 4); BPF_ARRAY(seen, u32, 1);
      int called(${CTX}) { seen.increment(0); return 0; }
      int f(${CTX}) { t.call(ctx, 2); return 1; }`);
    const called = b.load_func("called", BPF.RAW_TRACEPOINT);
    const t = b.get_table<number, number>("t");
    run(b, "f");
    t.set(2, called);
    run(b, "f");
    expect([t.get(2), b.get_table("seen").get(0)]).toEqual([called.program.id, 1]);
  },
  perf_event_array() {
    using b = open(`BPF_PERF_OUTPUT(t);
      int f(${CTX}) { u64 value = ctx->args[0]; return t.perf_submit(ctx, &value, sizeof(value)); }`);
    const t = b.get_table<never, bigint>("t");
    const got: bigint[] = [];
    t.open_perf_buffer((_, data) => got.push(t.event(data)));
    run(b, "f", 17);
    b.perf_buffer_consume();
    expect(got).toEqual([17n]);
  },
  ringbuf() {
    using b = open(`BPF_RINGBUF_OUTPUT(t, 1);
      int f(${CTX}) { u64 value = ctx->args[0]; return t.ringbuf_output(&value, sizeof(value), 0); }`);
    const t = b.get_table<never, bigint>("t");
    const got: bigint[] = [];
    t.open_ring_buffer((_, data) => got.push(t.event(data)));
    run(b, "f", 18);
    b.ring_buffer_consume();
    expect(got).toEqual([18n]);
  },
  user_ringbuf() {
    using b = open(`BPF_TABLE("user_ringbuf", int, int, t, 4096);
      static long each(struct bpf_dynptr *record, void *context) { return 0; }
      int f(${CTX}) { return t.user_ringbuf_drain(each, NULL, 0); }`);
    expect(run(b, "f")).toBe(0);
  },
  stack_trace() {
    using b = open(`BPF_STACK_TRACE(t, 64); BPF_STACK_TRACE_BUILDID(named, 64);
      int f(${CTX}) { return t.get_stackid(ctx, 0); }
      int g(${CTX}) { return named.get_stackid(ctx, BPF_F_USER_STACK); }`);
    const t = b.get_table("t");
    const addresses = [...t.walk(run(b, "f"))] as bigint[];
    expect(addresses.length).toBeGreaterThan(1);
    expect(b.ksym(addresses.at(-1)!).length).toBeGreaterThan(1);
    expect(addresses.every((address) => address >= 0xffff_8000_0000_0000n)).toBe(true);
    const frames = [...b.get_table("named").walk(run(b, "g"))] as BuildIdFrame[];
    expect(frames.length).toBeGreaterThan(0);
    expect(frames[0]?.build_id).toHaveLength(20);
  },
  cgroup_array() {
    using cgroup = new OwnCgroup();
    using b = open(`BPF_CGROUP_ARRAY(t, 2);
      int f(${CTX}) { return t.check_current_task(ctx->args[0]); }`);
    const t = b.get_table<number, number>("t");
    t.set(0, cgroup.folder);
    t.set(1, cgroup.folder.slice(0, cgroup.folder.lastIndexOf("/")));
    expect([run(b, "f", 0), run(b, "f", 1)]).toEqual([0, 1]);
  },
  cgroup_storage: () => cgroupStorage("cgroup_storage"),
  percpu_cgroup_storage: () => cgroupStorage("percpu_cgroup_storage"),
  sk_storage: () =>
    insideCgroup(
      `BPF_SK_STORAGE(t, u64); int f(struct __sk_buff *skb) {
        struct bpf_sock *sk = skb->sk;
        if (!sk || !(sk = bpf_sk_fullsock(sk))) return 1;
        u64 *count = t.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
        if (count) *count += 1;
        return 1;
      }`,
      async (b, { fd, send }) => {
        const t = b.get_table<number, bigint>("t");
        expect(t.get(fd)).toBeUndefined();
        await send();
        expect(t.get(fd)).toBe(1n);
        t.set(fd, 40n);
        await send();
        expect([t.get(fd), t.delete(fd), t.has(fd)]).toEqual([41n, true, false]);
      },
    ),
  task_storage() {
    using b = open(`BPF_TASK_STORAGE(t, u64);
      int f(${CTX}) {
        u64 *count = t.task_storage_get(bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
        return count ? ++*count : -1;
      }`);
    const t = b.get_table<number, bigint>("t");
    t.set(process.pid, 40n);
    expect(run(b, "f")).toBe(41);
    expect([t.get(process.pid), t.delete(process.pid)]).toEqual([41n, true]);
    expect(run(b, "f")).toBe(1);
  },
  cgrp_storage() {
    using cgroup = new OwnCgroup();
    const root = cgroup.folder.slice(0, cgroup.folder.lastIndexOf("/"));
    using b = open(`BPF_TABLE("cgrp_storage", int, u64, t, 0);
      int f(${CTX}) {
        struct task_struct *task = bpf_get_current_task_btf();
        u64 *count = t.cgrp_storage_get(task->cgroups->dfl_cgrp, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
        return count ? ++*count : -1;
      }`);
    const line = readFileSync("/proc/self/cgroup", "utf8")
      .split("\n")
      .find((text) => text.startsWith("0::"));
    const own = join(root, line?.slice("0::".length) ?? "");
    const t = b.get_table<string, bigint>("t");
    t.set(own, 40n).set(cgroup.folder, 3n);
    expect(run(b, "f")).toBe(41);
    expect([t.get(own), t.get(cgroup.folder), t.delete(own), t.has(own)]).toEqual([41n, 3n, true, false]);
  },
  inode_storage(context) {
    needsFeature(context, "lsm");
    const folder = mkdtempSync(join(tmpdir(), "rxbpf-inode-"));
    try {
      using b = open(`BPF_INODE_STORAGE(t, u64);
        LSM_PROBE(inode_rmdir, struct inode *dir, struct dentry *dentry) {
          u64 *count = t.inode_storage_get(dir, 0, 0);
          if (count) *count += 1;
          return 0;
        }`);
      const t = b.get_table<string, bigint>("t");
      t.set(folder, 40n);
      rmdirSync(mkdtempSync(join(folder, "one-")));
      expect(t.get(folder)).toBe(41n);
    } finally {
      rmdirSync(folder);
    }
  },
  sockmap: () => sockets("sockmap"),
  sockhash: () => sockets("sockhash"),
  async reuseport_sockarray() {
    using b = open(`BPF_TABLE("reuseport_sockarray", u32, u64, t, 4);
      int f(struct sk_reuseport_md *reuse) {
        u32 key = 1;
        return t.sk_select_reuseport(reuse, &key, 0) ? SK_DROP : SK_PASS;
      }`);
    expect(b.load_func("f", BPF.SK_REUSEPORT).fd).toBeGreaterThan(0);
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    const t = b.get_table<number, bigint>("t");
    // Only sockets that share a port may stand here; those of Node do not.
    expect(() => t.set(1, { fd: fdOf(socket) })).toThrow("EINVAL");
    expect(t.get(1)).toBeUndefined();
    socket.close();
  },
  devmap: () => redirecting("devmap", 1, (b) => b.get_table<number, number>("t").set(1, "lo"), 1),
  devmap_hash: () =>
    redirecting("devmap_hash", 70_000, (b) => b.get_table<number, number>("t").set(70_000, "lo"), 1),
  cpumap: () => redirecting("cpumap", 0, (b) => b.get_table<number, number>("t").set(0, 192), 192),
  xskmap() {
    const [AF_XDP, SOCK_RAW] = [44, 3];
    using socket = new Fd(checked("socket(AF_XDP)", libc().socket(AF_XDP, SOCK_RAW, 0)), "an XDP socket");
    redirecting(
      "xskmap",
      2,
      (b) => b.get_table<number, number>("t").set(2, { fd: socket.number }),
      undefined,
    );
  },
  struct_ops() {
    expect(() => open('BPF_TABLE("struct_ops", int, u32, t, 1);')).toThrow("struct_ops");
  },
};

beforeEach((context) => needsKernel(context));

test.for(Object.keys(kinds) as MapKindName[])(
  "%s: programs and the host work on one table",
  async (kind, context) => {
    try {
      await kinds[kind](context);
    } catch (error) {
      const { since } = mapKinds[kind];
      if (!(error instanceof UnsupportedError) || !error.message.includes(since)) throw error;
      context.skip(error.message);
    }
  },
);

test("global variables are tables of one entry", () => {
  using b = open(`u32 limit = 4; u64 seen[2]; int f(${CTX}) { seen[1] += limit; return seen[1]; }`);
  const [data, bss] = [b.get_table<number, { limit: number }>(".data"), b.get_table<number, unknown>(".bss")];
  expect(run(b, "f")).toBe(4);
  data.set(0, { limit: 10 });
  expect(run(b, "f")).toBe(14);
  expect([data.size, data.get(0), bss.get(0)]).toEqual([1, { limit: 10 }, { seen: [0n, 14n] }]);
  expect(() => data.get(1)).toThrow("must be a whole number from -1 to 0");
});
