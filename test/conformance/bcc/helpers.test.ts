import { describe, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

/** Functions that try a helper each, and what both runtimes must give. */
const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int); __type(value, int); } few SEC(".maps");
static const char hex[] = "-0x2a";
static const char word[] = "same";
static char text[32];

static int add(void *map, int *key, int *value, int *sum) { *sum += *value; return 0; }
static int count(int index, int *sum) { *sum += index; return index == 5; }

SEC("raw_tp/sys_enter") int number(void *ctx) {
  long value = 0;
  int used = bpf_strtol(hex, sizeof(hex) - 1, 0, &value);
  return used * 1000 + value;
}
SEC("raw_tp/sys_enter") int print(void *ctx) {
  __u64 values[] = { 42, (__u64)-7 };
  long length = bpf_snprintf(text, sizeof(text), "%d %lld", values, sizeof(values));
  return length * 1000 + text[0] + text[3];
}
SEC("raw_tp/sys_enter") int compare(void *ctx) {
  char other[5] = "samf";
  return bpf_strncmp(other, 4, word) > 0 && bpf_strncmp(other, 3, word) == 0;
}
SEC("raw_tp/sys_enter") int loops(void *ctx) {
  int sum = 0;
  return bpf_loop(100, count, &sum, 0) * 1000 + sum;
}
SEC("raw_tp/sys_enter") int walk(void *ctx) {
  int sum = 0;
  for (int i = 1; i < 5; i++) bpf_map_update_elem(&few, &i, &i, BPF_ANY);
  return bpf_for_each_map_elem(&few, add, &sum, 0) * 1000 + sum;
}
SEC("raw_tp/sys_enter") int clocks(void *ctx) {
  __u64 first = bpf_ktime_get_ns(), boot = bpf_ktime_get_boot_ns(), second = bpf_ktime_get_ns();
  return first > 0 && second >= first && boot >= first;
}
SEC("raw_tp/sys_enter") int itself(void *ctx) {
  struct bpf_pidns_info wrong = {};
  __u64 both = bpf_get_current_pid_tgid();
  return both >> 32 != 0 && bpf_get_ns_current_pid_tgid(0, 0, &wrong, 4) == -22;
}
SEC("tc") int checksum(struct __sk_buff *skb) {
  __be32 from[2] = { 1, 2 }, to[2] = { 3, 4 };
  return bpf_csum_diff(from, 8, to, 8, 10) & 0xffff;
}
`;

const answers: Readonly<Record<string, bigint>> = {
  number: 5000n - 42n,
  print: 6000n + 52n + 45n,
  compare: 1n,
  loops: 6000n + 15n,
  walk: 4000n + 10n,
  clocks: 1n,
  itself: 1n,
};

describe.each(runtimes)("helpers of the $name", ({ name, reason }) => {
  test.for(Object.entries(answers))("%s", ([func, answer], context) => {
    needsRuntime(context, reason);
    using b = new BPF({ text: SOURCE, runtime: name, autoAttach: false });
    expect(b.fire(func)).toBe(answer);
  });

  test("checksum", (context) => {
    needsRuntime(context, reason);
    using b = new BPF({ text: SOURCE, runtime: name, autoAttach: false });
    expect(b.fire("checksum", { packet: new Uint8Array(64) })).toBe(14n);
  });
});
