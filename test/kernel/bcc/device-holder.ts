/**
 * Run by devices-child.ts: attaches to the device "rxc0" in the way that its argument says, tells its parent, and waits to
 * be killed, or ends.
 */
import { BPF } from "rxbpf";

const [through, ends] = process.argv.slice(2) as ["link" | "netlink", string | undefined];
const b = new BPF({
  runtime: "kernel",
  text: "int f(struct __sk_buff *skb) { return 2; } int x(struct xdp_md *ctx) { return 2; }",
});
b.attachTc({ dev: "rxc0", direction: "ingress", fn: b.load_func("f", BPF.SCHED_CLS), through });
if (through === "link" || ends !== undefined)
  b.attach_xdp("rxc0", b.load_func("x", BPF.XDP), BPF.XDP_FLAGS_SKB_MODE, { through });
console.log("attached");
if (ends === undefined) setInterval(() => {}, 1000);
