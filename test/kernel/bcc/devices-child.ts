/**
 * Run in a network namespace of its own by the devices test: attaches XDP and tc programs in every way to a device that
 * packets come to from another namespace, and prints what happened as JSON.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { BPF } from "rxbpf";
import { failureOf } from "./failing.ts";
import { ip, PORT, twoNamespaces } from "./two-namespaces.ts";

const supportsTcx = BPF.supports("tcx_link").state === "yes";
using network = await twoNamespaces();

/** Counts UDP packets to our port, in a counter for each function. */
using b = new BPF({
  runtime: "kernel",
  text: `
    #include <linux/bpf.h>
    #include <linux/if_ether.h>
    #include <linux/ip.h>
    #include <linux/udp.h>
    #include <linux/pkt_cls.h>
    BPF_ARRAY(counts, u64, 4);
    BPF_ARRAY(order, u32, 4);
    BPF_ARRAY(place, u32, 1);
    static int is_ours(void *data, void *end) {
      struct ethhdr *eth = data;
      struct iphdr *ip = data + sizeof(*eth);
      struct udphdr *udp = (void *)ip + sizeof(*ip);
      if ((void *)(udp + 1) > end) return 0;
      return eth->h_proto == htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP && udp->dest == htons(${PORT});
    }
    static void note(int who) {
      int zero = 0;
      counts.increment(who);
      u32 *at = place.lookup(&zero);
      if (at) { u32 next = *at & 3, me = who; order.update(&next, &me); *at += 1; }
    }
    int first(struct xdp_md *ctx) {
      if (is_ours((void *)(long)ctx->data, (void *)(long)ctx->data_end)) note(0);
      return XDP_PASS;
    }
    int second(struct xdp_md *ctx) {
      if (is_ours((void *)(long)ctx->data, (void *)(long)ctx->data_end)) note(1);
      return XDP_PASS;
    }
    int third(struct __sk_buff *skb) {
      if (is_ours((void *)(long)skb->data, (void *)(long)skb->data_end)) note(2);
      return TC_ACT_UNSPEC;
    }
    int fourth(struct __sk_buff *skb) {
      if (is_ours((void *)(long)skb->data, (void *)(long)skb->data_end)) note(3);
      return TC_ACT_UNSPEC;
    }
    int drop(struct __sk_buff *skb) { return TC_ACT_SHOT; }`,
});
const counts = b.get_table<number, bigint>("counts");
const order = b.get_table<number, number>("order");
const place = b.get_table<number, number>("place");

/** How often each function ran while packets came in. */
function seen(count = 2): readonly number[] {
  counts.clear();
  place.clear();
  network.receive(count);
  return counts.values().map(Number);
}

/** The same while packets went out. */
async function sent(): Promise<readonly number[]> {
  counts.clear();
  await network.send(2);
  return counts.values().map(Number);
}

/** Which functions ran for one packet, in their order. */
function sequence(): readonly number[] {
  seen(1);
  return order.values().slice(0, place.get(0));
}

const tc = (...words: readonly string[]): string => execFileSync("tc", words, { encoding: "utf8" });

const first = b.load_func("first", BPF.XDP);
const second = b.load_func("second", BPF.XDP);

/** Attaches, replaces and removes in one of the two ways. */
function xdpThrough(through: "link" | "netlink" | undefined) {
  const options = through === undefined ? {} : { through };
  const link = b.attach_xdp("rxc0", first, BPF.XDP_FLAGS_SKB_MODE, options);
  const attached = seen();
  const mode = ip("link", "show", "rxc0").includes("xdpgeneric");
  const again = failureOf(() => b.attach_xdp("rxc0", second, BPF.XDP_FLAGS_SKB_MODE, options));
  const flags = BPF.XDP_FLAGS_SKB_MODE | BPF.XDP_FLAGS_REPLACE;
  const unexpected = failureOf(() => b.attach_xdp("rxc0", second, flags, { expected: second, ...options }));
  const next = b.attach_xdp("rxc0", second, flags, { expected: first, ...options });
  const replaced = { closed: link.closed, seen: seen() };
  link[Symbol.dispose]();
  const afterOldLink = seen();
  next[Symbol.dispose]();
  const detached = seen();
  const driver = b.attach_xdp("rxc0", first, BPF.XDP_FLAGS_DRV_MODE, options);
  const inDriver = { seen: seen(), shown: / xdp .*prog\/xdp|prog\/xdp/.test(ip("link", "show", "rxc0")) };
  driver[Symbol.dispose]();
  const hardware = failureOf(() => b.attach_xdp("rxc0", first, BPF.XDP_FLAGS_HW_MODE, options));
  return { attached, mode, again, unexpected, replaced, afterOldLink, detached, inDriver, hardware };
}

const xdp = {
  byDefault: xdpThrough(undefined),
  byNetlink: xdpThrough("netlink"),
  replaceWithout: failureOf(() => b.attach_xdp("rxc0", first, BPF.XDP_FLAGS_REPLACE)),
  wrongThrough: failureOf(() => b.attach_xdp("rxc0", first, 0, { through: "wire" as "link" })),
};

/** A program that another object attached, through netlink. */
const evicted = (() => {
  using other = new BPF({ runtime: "kernel", text: "int pass(struct xdp_md *ctx) { return XDP_PASS; }" });
  const link = other.attach_xdp("rxc0", other.load_func("pass", BPF.XDP), BPF.XDP_FLAGS_SKB_MODE, {
    through: "netlink",
  });
  const present = ip("link", "show", "rxc0").includes("prog/xdp");
  b.remove_xdp("rxc0");
  const removed = !ip("link", "show", "rxc0").includes("prog/xdp");
  const twice = failureOf(() => b.remove_xdp("rxc0"));
  b.attach_xdp("rxc0", first, BPF.XDP_FLAGS_SKB_MODE);
  link[Symbol.dispose]();
  const survives = seen();
  b.remove_xdp("rxc0", BPF.XDP_FLAGS_SKB_MODE);
  return { present, removed, twice, survives, unknown: failureOf(() => b.remove_xdp("rxc00")) };
})();

const third = b.load_func("third", BPF.SCHED_CLS);
const fourth = b.load_func("fourth", BPF.SCHED_CLS);
const drop = b.load_func("drop", BPF.SCHED_CLS);

async function tcThrough(through: "link" | "netlink" | undefined) {
  const options = { dev: "rxc0", ...(through === undefined ? {} : { through }) };
  const before = seen();
  const link = b.attachTc({ ...options, fn: third, direction: "ingress" });
  const incoming = seen();
  const again = failureOf(() => b.attachTc({ ...options, fn: third, direction: "ingress" }));
  const onlyIn = await sent();
  const out = b.attachTc({ ...options, fn: fourth, direction: "egress" });
  const outgoing = await sent();
  out[Symbol.dispose]();
  link[Symbol.dispose]();
  link[Symbol.dispose]();
  const detached = seen();
  const orders = (["low first", "high first"] as const).map((which) => {
    const low = (): Disposable => b.attachTc({ ...options, fn: third, direction: "ingress", priority: 5 });
    const high = (): Disposable => b.attachTc({ ...options, fn: fourth, direction: "ingress", priority: 9 });
    const links = which === "low first" ? [low(), high()] : [high(), low()];
    const ran = sequence();
    for (const each of links) each[Symbol.dispose]();
    return ran;
  });
  const dropping = b.attachTc({ ...options, fn: drop, direction: "ingress" });
  const beforeDrop = received();
  network.receive(2);
  const dropped = received() - beforeDrop;
  dropping[Symbol.dispose]();
  network.receive(2);
  const passed = received() - beforeDrop;
  return {
    before,
    incoming,
    again,
    onlyIn,
    outgoing,
    detached,
    orders,
    dropped,
    passed,
    left: tc("qdisc", "show", "dev", "rxc0"),
  };
}

/** How many UDP packets came for a port that nobody has: the device's programs let them pass. */
function received(): number {
  const text = execFileSync("cat", ["/proc/net/snmp"], { encoding: "utf8" });
  return Number(/^\s*Udp:.*\n\s*Udp:\s+(\d+)\s+(\d+)/m.exec(text)?.[2]);
}

const shaping = {
  byDefault: await tcThrough(undefined),
  byNetlink: await tcThrough("netlink"),
  beside: (() => {
    // A discipline and a filter of somebody else's stay.
    tc("qdisc", "add", "dev", "rxc0", "clsact");
    const link = b.attachTc({
      dev: "rxc0",
      fn: third,
      direction: "ingress",
      through: "netlink",
      priority: 7,
    });
    const shown = tc("filter", "show", "dev", "rxc0", "ingress");
    link[Symbol.dispose]();
    const discipline = tc("qdisc", "show", "dev", "rxc0").includes("clsact");
    tc("qdisc", "del", "dev", "rxc0", "clsact");
    return { priority: /pref (\d+)/.exec(shown)?.[1], direct: shown.includes("direct-action"), discipline };
  })(),
  unknown: failureOf(() => b.attachTc({ dev: "rxc1", fn: third, direction: "ingress" })),
  wrongKind: failureOf(() => b.attachTc({ dev: "rxc0", fn: first, direction: "ingress" })),
  wrongPriority: failureOf(() =>
    b.attachTc({ dev: "rxc0", fn: third, direction: "ingress", priority: 70000 }),
  ),
  wrongDirection: failureOf(() => b.attachTc({ dev: "rxc0", fn: third, direction: "in" as "ingress" })),
};

/** What a process has on the device, whose tc program drops everything: while it lives, after its end, and after the next attachment. */
async function left(through: "link" | "netlink", ...how: readonly string[]) {
  const state = (): string => {
    const before = received();
    network.receive(1);
    const hasXdp = ip("link", "show", "rxc0").includes("prog/xdp");
    return [hasXdp ? "xdp" : "", received() === before ? "tc" : ""].join(" ").trim();
  };
  const command = [fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url)), "run"];
  const holder = fileURLToPath(new URL("device-holder.ts", import.meta.url));
  const child = spawn(process.execPath, [...command, holder, through, ...how], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const during = how.length > 0 ? "" : state();
  const ended = once(child, "exit");
  if (how.length === 0) child.kill("SIGKILL");
  await ended;
  const after = state();
  b.attachTc({ dev: "rxc0", fn: third, direction: "ingress", through: "netlink" })[Symbol.dispose]();
  return { during, after, swept: state() };
}

const ended = {
  links: supportsTcx ? await left("link") : null,
  filters: await left("netlink"),
  normally: await left("netlink", "ends"),
};

const gone = (() => {
  const links = [
    b.attach_xdp("rxc0", first, 0, { through: "netlink" }),
    b.attachTc({ dev: "rxc0", fn: third, direction: "ingress", through: "netlink" }),
    b.attachTc({ dev: "rxc0", fn: fourth, direction: "egress" }),
  ];
  ip("link", "del", "rxc0");
  for (const link of links) link[Symbol.dispose]();
  return links.every(({ closed }) => closed);
})();

process.stdout.write(JSON.stringify({ xdp, evicted, shaping, ended, gone }));
