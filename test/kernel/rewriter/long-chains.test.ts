import { beforeEach, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "../bcc/open.ts";

beforeEach((context) => needsKernel(context));

const chains: Readonly<Record<string, { readonly parameters: string; readonly body: string }>> = {
  "a disk's name, behind three pointers": {
    parameters: "struct request *req",
    body: "char name[32]; bpf_probe_read_kernel_str(name, sizeof(name), req->q->disk->disk_name); return name[0];",
  },
  "a letter of a device's name": {
    parameters: "struct sk_buff *skb, int i",
    body: "return skb->dev->name[i & 15];",
  },
  "an address in a socket": {
    parameters: "struct sock *sk",
    body: "return sk->__sk_common.skc_daddr;",
  },
  "the same by the name that is a macro": {
    parameters: "struct sock *sk",
    body: "return sk->sk_daddr + sk->sk_dport;",
  },
  "bit fields of a socket and of a packet": {
    parameters: "struct sock *sk, struct sk_buff *skb",
    body: "return sk->sk_userlocks + skb->pkt_type;",
  },
  "members of anonymous unions": {
    parameters: "struct sk_buff *skb",
    body: "return skb->skb_iif + skb->csum + skb->sk->sk_err;",
  },
  "a structure around a member": {
    parameters: "struct hlist_node *node",
    body: "return container_of(node, struct task_struct, pid_links[0])->pid;",
  },
};

test.each(Object.entries(chains))("%s loads without a word about reading", (_, { parameters, body }) => {
  using b = open(`
    #include <linux/blk-mq.h>
    #include <linux/skbuff.h>
    #include <linux/sched.h>
    #include <net/sock.h>
    int probe(struct pt_regs *ctx, ${parameters}) { ${body} }`);
  const { program } = b.load_func("probe", BPF.KPROBE);
  expect(program.spec.insns.length).toBeGreaterThan(8);
});
