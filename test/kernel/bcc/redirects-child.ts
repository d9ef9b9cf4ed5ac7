/**
 * Run in a network namespace of its own by the redirects test: methods by which programs send on what sockets get, put
 * sockets into tables, choose listeners, and ask for the cgroup of a packet's sender. Prints what happened as JSON.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { BPF, BPFAttachType } from "rxbpf";
import { withArena } from "../../../framework/sys/arena.ts";
import { checked, libc } from "../../../framework/sys/libc.ts";
import { OwnCgroup } from "./cgroup.ts";
import { arrival, connection, fdOf } from "./connections.ts";
import { ip } from "./two-namespaces.ts";

ip("link", "set", "lo", "up");
const PORT = 4310;

using b = new BPF({
  runtime: "kernel",
  text: `
    BPF_SOCKMAP(arriving, 4);
    BPF_SOCKHASH(arriving_by_name, u64, 4);
    BPF_SOCKMAP(sending, 4);
    BPF_SOCKHASH(sending_by_name, u64, 4);
    BPF_TABLE("reuseport_sockarray", u32, u64, listeners, 4);
    BPF_TABLE("sockmap", u32, u64, known, 4);
    BPF_TABLE("sockhash", u64, u64, known_by_name, 4);
    BPF_CGROUP_ARRAY(groups, 1);
    BPF_ARRAY(counts, u64, 4);

    int send_on(struct __sk_buff *skb) { return arriving.sk_redirect_map(skb, 1, 0); }
    int send_on_by_name(struct __sk_buff *skb) { u64 name = 7; return arriving_by_name.sk_redirect_hash(skb, &name, 0); }
    int hand_over(struct sk_msg_md *msg) { return sending.msg_redirect_map(msg, 1, BPF_F_INGRESS); }
    int hand_over_by_name(struct sk_msg_md *msg) {
      u64 name = 7;
      return sending_by_name.msg_redirect_hash(msg, &name, BPF_F_INGRESS);
    }
    int joins(struct bpf_sock_ops *ops) {
      u32 index = 2;
      u64 name = bpf_ntohl(ops->remote_port);
      if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) return 1;
      if (known.sock_map_update(ops, &index, BPF_NOEXIST)) counts.increment(0);
      if (known_by_name.sock_hash_update(ops, &name, BPF_NOEXIST)) counts.increment(0);
      return 1;
    }
    int choose(struct sk_reuseport_md *reuse) {
      u32 second = 1;
      counts.increment(1);
      return listeners.sk_select_reuseport(reuse, &second, 0) ? SK_DROP : SK_PASS;
    }
    int whose(struct __sk_buff *skb) {
      long answer = groups.skb_under_cgroup(skb, 0);
      if (answer == 1) counts.increment(2);
      else if (answer == 0) counts.increment(3);
      return TC_ACT_OK;
    }`,
});
const count = (which: number): number => Number(b.get_table<number, bigint>("counts").get(which));

/** What the second connection gets of what is said on the first, by a program at a table that has both. */
async function between<K>(
  name: string,
  keys: readonly [K, K],
  at: {
    readonly fn: string;
    readonly as: number;
    readonly type: number;
    readonly hears: "client" | "server";
  },
): Promise<string> {
  const table = b.get_table<K, number>(name);
  const first = await connection(PORT);
  const second = await connection(PORT + 1);
  const isReceiver = at.type === BPFAttachType.SK_SKB_STREAM_VERDICT;
  b.attach_func(b.load_func(at.fn, at.as), table, at.type);
  table.set(keys[0], fdOf(isReceiver ? first.server : first.client));
  table.set(keys[1], fdOf(second.server));
  const heard = arrival(second[at.hears]);
  first.client.write(`for ${name}`);
  const text = await heard;
  for (const key of keys) table.delete(key);
  for (const pair of [first, second]) pair.end();
  return text;
}

const verdict = { as: BPF.SK_SKB, type: BPFAttachType.SK_SKB_STREAM_VERDICT, hears: "client" } as const;
const message = { as: BPF.SK_MSG, type: BPFAttachType.SK_MSG_VERDICT, hears: "server" } as const;
const redirected = {
  map: await between("arriving", [0, 1], { fn: "send_on", ...verdict }),
  hash: await between("arriving_by_name", [5n, 7n], { fn: "send_on_by_name", ...verdict }),
  messageMap: await between("sending", [0, 1], { fn: "hand_over", ...message }),
  messageHash: await between("sending_by_name", [5n, 7n], { fn: "hand_over_by_name", ...message }),
};

/** What a program at a cgroup puts into tables when a process there makes a connection. */
async function joined() {
  using cgroup = new OwnCgroup();
  const listener = createServer().listen(PORT + 2, "127.0.0.1");
  await once(listener, "listening");
  const link = b.attach_func(
    b.load_func("joins", BPF.SOCK_OPS),
    cgroup.folder,
    BPFAttachType.CGROUP_SOCK_OPS,
  );
  const connect = `exec 3<>/dev/tcp/127.0.0.1/${PORT + 2} && echo connected && read`;
  const client = cgroup.start("bash", "-c", connect);
  const [said] = (await once(client.stdout, "data")) as [Buffer];
  const keys = {
    said: said.toString(),
    // Every index is a key; one without a socket has no cookie.
    numbers: [...b.get_table<number, bigint>("known").entries()].flatMap(([at, cookie]) =>
      cookie ? [at] : [],
    ),
    names: [...b.get_table<bigint, bigint>("known_by_name").keys()].map(Number),
    refused: count(0),
  };
  link[Symbol.dispose]();
  client.stdin.end();
  await once(client, "close");
  listener.close();
  return keys;
}

/** A listener on a port that others share; says which of them a connection came to. */
async function sharing(port: number, called: string, came: (name: string) => void): Promise<Server> {
  const [AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEPORT] = [2, 1, 1, 15];
  const fd = checked("socket", libc().socket(AF_INET, SOCK_STREAM, 0));
  withArena((arena) => {
    const one = Number(arena.in(Uint8Array.of(1, 0, 0, 0)));
    checked("setsockopt", libc().setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, one, 4));
    const address = Uint8Array.of(AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    checked("bind", libc().bind(fd, Number(arena.in(address)), address.length));
  });
  const server = createServer((socket) => {
    came(called);
    socket.end();
  }).listen({ fd });
  await once(server, "listening");
  return server;
}

/** Which of two listeners on one port connections come to, when a program says the second. */
async function chosen() {
  const names: string[] = [];
  const came = (name: string): void => void names.push(name);
  const servers = [await sharing(PORT + 3, "first", came), await sharing(PORT + 3, "second", came)];
  const listeners = b.get_table<number, bigint>("listeners");
  servers.forEach((server, index) => void listeners.set(index, BigInt(fdOf(server))));
  b.attachSocket({ fn: b.load_func("choose", BPF.SK_REUSEPORT), fd: fdOf(servers[0]!) });
  for (let n = 0; n < 5; n++) {
    const client = connect(PORT + 3, "127.0.0.1");
    await once(client.resume(), "close");
  }
  for (const server of servers) server.close();
  return { names, runs: count(1) };
}

/** Packets of processes in a cgroup, and of those that are elsewhere. */
function counted() {
  using cgroup = new OwnCgroup();
  b.get_table<number, number>("groups").set(0, cgroup.folder);
  using _ = b.attachTc({ dev: "lo", fn: b.load_func("whose", BPF.SCHED_CLS), direction: "egress" });
  const send = (times: number) => [
    "bash",
    "-c",
    `for ((i = 0; i < ${times}; i++)); do echo hello >/dev/udp/127.0.0.1/${PORT + 4}; done`,
  ];
  cgroup.run(...send(3));
  const inside = count(2);
  const before = count(3);
  const [program = "", ...words] = send(2);
  execFileSync(program, words);
  // Each is answered by the kernel that nobody listens, in a packet that belongs to no process.
  return { inside, outside: (count(3) - before) / 2 };
}

const report = { redirected, joined: await joined(), chosen: await chosen(), counted: counted() };
process.stdout.write(JSON.stringify(report));
