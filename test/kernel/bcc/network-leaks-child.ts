/**
 * Run in a network namespace of its own by the network leaks test: attaches in every way to devices, sockets, a cgroup and
 * the namespace, and prints as JSON what is left after each way to end that.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { BPF, BPFAttachType, type Link } from "rxbpf";
import { attachTypes } from "../../../framework/programs/attach-types.ts";
import { bpfReply } from "../../../framework/sys/bpf.ts";
import { openDescriptors } from "../../../framework/sys/fd.ts";
import { watcherCount } from "../../../framework/sys/poller.ts";
import { progQuery } from "../../../framework/uapi/bpf-attr.ts";
import { expectFreed, type Holdings, holdings } from "../../support/holdings.ts";
import { OwnCgroup } from "./cgroup.ts";
import { fdOf } from "./connections.ts";
import { ip } from "./two-namespaces.ts";

spawnSync("modprobe", ["veth"]);
ip("link", "set", "lo", "up");
ip("link", "add", "rxl0", "type", "veth", "peer", "name", "rxl1");

using cgroup = new OwnCgroup();
const receiver = createSocket("udp4").bind(0, "127.0.0.1");
await once(receiver, "listening");

const open = (): BPF =>
  new BPF({
    runtime: "kernel",
    text: `
      BPF_SOCKMAP(sockets, 4);
      BPF_HASH(counts, u32, u64);
      int pass(struct xdp_md *ctx) { counts.increment(1); return XDP_PASS; }
      int shape(struct __sk_buff *skb) { counts.increment(2); return -1; }
      int shape_too(struct __sk_buff *skb) { return -1; }
      int keep(struct __sk_buff *skb) { return 0; }
      int allow(struct __sk_buff *skb) { return 1; }
      int allow_socket(struct bpf_sock *sock) { return 1; }
      int allow_call(struct bpf_sock_addr *ctx) { return 1; }
      int watch(struct bpf_sock_ops *ops) { return 1; }
      int sends(struct sk_msg_md *msg) { return SK_PASS; }
      int arrives(struct __sk_buff *skb) { return SK_PASS; }
      int find(struct bpf_sk_lookup *ctx) { return SK_PASS; }
      int dissect(struct __sk_buff *skb) { return 0; }`,
  });

/** Attaches in every way; the cgroup takes one program with BPF_F_ALLOW_OVERRIDE as well, which is no link. */
function attachAll(b: BPF): readonly Link[] {
  const xdp = b.load_func("pass", BPF.XDP);
  const shape = b.load_func("shape", BPF.SCHED_CLS);
  const shapeToo = b.load_func("shape_too", BPF.SCHED_CLS);
  const keep = b.load_func("keep", BPF.SOCKET_FILTER);
  const allow = b.load_func("allow", BPF.CGROUP_SKB);
  const { folder } = cgroup;
  const sockets = b.get_table("sockets");
  return [
    b.attach_xdp("lo", xdp, BPF.XDP_FLAGS_SKB_MODE),
    b.attach_xdp("rxl0", xdp, BPF.XDP_FLAGS_SKB_MODE, { through: "netlink" }),
    b.attachTc({ dev: "lo", direction: "ingress", fn: shape }),
    b.attachTc({ dev: "lo", direction: "egress", fn: shape }),
    b.attachTc({ dev: "rxl0", direction: "ingress", fn: shape, through: "netlink" }),
    b.attachTc({ dev: "rxl0", direction: "egress", fn: shapeToo, through: "netlink" }),
    b.attach_raw_socket(keep, "lo"),
    b.attachSocket({ fn: keep, fd: fdOf(receiver) }),
    b.attach_func(allow, folder, BPFAttachType.CGROUP_INET_INGRESS),
    b.attach_func(allow, folder, BPFAttachType.CGROUP_INET_EGRESS, 1),
    b.attach_func(
      b.load_func("allow_socket", BPF.CGROUP_SOCK),
      folder,
      BPFAttachType.CGROUP_INET_SOCK_CREATE,
    ),
    b.attach_func(
      b.load_func("allow_call", BPF.CGROUP_SOCK_ADDR, { attach_type: BPFAttachType.CGROUP_INET4_CONNECT }),
      folder,
      BPFAttachType.CGROUP_INET4_CONNECT,
    ),
    b.attach_func(b.load_func("watch", BPF.SOCK_OPS), folder, BPFAttachType.CGROUP_SOCK_OPS),
    b.attach_func(b.load_func("sends", BPF.SK_MSG), sockets, BPFAttachType.SK_MSG_VERDICT),
    b.attach_func(b.load_func("arrives", BPF.SK_SKB), sockets, BPFAttachType.SK_SKB_STREAM_VERDICT),
    b.attach_func(b.load_func("find", BPF.SK_LOOKUP), 0, BPFAttachType.SK_LOOKUP),
    b.attach_func(b.load_func("dissect", BPF.FLOW_DISSECTOR), 0, BPFAttachType.FLOW_DISSECTOR),
  ];
}

/** How many programs devices, the cgroup and the namespace have, whoever holds them. */
function attached(): Readonly<Record<string, number>> {
  const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length;
  const filters = ["lo", "rxl0"].flatMap((dev) =>
    ["ingress", "egress"].map((side) =>
      execFileSync("tc", ["filter", "show", "dev", dev, side], { encoding: "utf8" }),
    ),
  );
  return {
    xdp: count(ip("link", "show"), /prog\/xdp/g),
    filters: count(filters.join("\n"), /rxbpf:/g),
    disciplines: count(execFileSync("tc", ["qdisc", "show"], { encoding: "utf8" }), /clsact/g),
    cgroup: queried(cgroup.folder, [
      attachTypes.cgroup_inet_ingress.type,
      attachTypes.cgroup_inet_egress.type,
      attachTypes.cgroup_inet_sock_create.type,
      attachTypes.cgroup_inet4_connect.type,
      attachTypes.cgroup_sock_ops.type,
    ]),
    namespace: queried("/proc/self/ns/net", [attachTypes.sk_lookup.type, attachTypes.flow_dissector.type]),
  };
}

function queried(path: string, types: readonly number[]): number {
  const fd = openSync(path, "r");
  try {
    const counts = types.map(
      (type) => bpfReply("BPF_PROG_QUERY", progQuery, { target_fd: fd, attach_type: type }).attr.prog_cnt,
    );
    return counts.reduce((sum, each) => sum + each, 0);
  } finally {
    closeSync(fd);
  }
}

/** Ways to end it; each takes an object and its links, and leaves the object closed. */
const ends: Readonly<Record<string, (b: BPF, links: readonly Link[]) => void>> = {
  close: (b) => b.close(),
  "disposing every link": (b, links) => {
    for (const link of links) link[Symbol.dispose]();
    if (links.some(({ closed }) => !closed)) throw new Error("a disposed link is not closed");
    b.close();
  },
  "an exception": (b) => {
    try {
      using _ = b;
      throw new RangeError("of the user");
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  },
};

/** What is left after attaching in every way and one way to end it. */
async function leftAfter(end: (typeof ends)[string]) {
  const before = holdings();
  const b = open();
  const links = attachAll(b);
  const during: Holdings = holdings();
  const present = attached();
  end(b, links);
  const after = holdings();
  await expectFreed(during, before);
  return {
    present,
    links: links.length,
    left: attached(),
    programs: during.programs.length - before.programs.length,
    more: after.descriptors.filter((name) => !before.descriptors.includes(name)),
    difference: after.descriptors.length - before.descriptors.length,
    open: openDescriptors().map(({ label }) => label),
    watchers: watcherCount(),
  };
}

// What is opened once per process and stays: the kernel's types and the like.
{
  using b = open();
  attachAll(b);
}
const report: Record<string, Awaited<ReturnType<typeof leftAfter>>> = {};
for (const [name, end] of Object.entries(ends)) report[name] = await leftAfter(end);
receiver.close();
process.stdout.write(JSON.stringify(report));
