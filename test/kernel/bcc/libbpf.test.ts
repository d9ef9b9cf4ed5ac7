import { rmdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { BPF, MapError, UsageError, VerifierError } from "../../../framework/index.ts";
import { run, runOnPacket } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const HEAD = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
`;
const LICENSE = `char LICENSE[] SEC("license") = "GPL";`;
const CTX = "struct bpf_raw_tracepoint_args *ctx";
const OWN = `((u32)(bpf_get_current_pid_tgid() >> 32) == ${process.pid})`;

function rmdirInVain(): void {
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
}

describe("libbpf's dialect", () => {
  beforeEach((context) => needsKernel(context));

  test('SEC("xdp") loads as XDP and attaches nowhere by itself', () => {
    using b = open(`${HEAD} SEC("xdp") int f(struct xdp_md *ctx) { return XDP_DROP; } ${LICENSE}`);
    expect(runOnPacket(b, "f", BPF.XDP, new Uint8Array(60)).result).toBe(BPF.XDP_DROP);
  });

  test('SEC("tracepoint/category/event") attaches', () => {
    using b = open(`${HEAD} int calls;
      SEC("tracepoint/syscalls/sys_enter_rmdir") int f(void *ctx) { if (${OWN}) calls++; return 0; } ${LICENSE}`);
    rmdirInVain();
    expect(b.variable<number>("calls").get()).toBe(1);
  });

  test('SEC("tp/category/event") and SEC("raw_tp/event") attach', () => {
    using b = open(`${HEAD} int calls, raws;
      SEC("tp/syscalls/sys_exit_rmdir") int f(void *ctx) { if (${OWN}) calls++; return 0; }
      SEC("raw_tp/sys_enter") int g(${CTX}) { if (${OWN} && ctx->args[1] == 84) raws++; return 0; } ${LICENSE}`);
    rmdirInVain();
    expect([b.variable("calls").get(), b.variable("raws").get()]).toEqual([1, 1]);
  });

  test(".maps definitions become tables with their types", () => {
    using b = open(`${HEAD}
      struct key { u32 a; char b[4]; };
      struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 7);
        __type(key, struct key);
        __type(value, u64);
      } counts SEC(".maps");
      SEC("raw_tp") int f(${CTX}) {
        struct key key = { 1, "xy" };
        u64 one = 1;
        return bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
      }
      ${LICENSE}`);
    expect(run(b, "f")).toBe(0);
    const counts = b.get_table("counts");
    expect([counts.max_entries, counts.items()]).toEqual([7, [[{ a: 1, b: "xy" }, 1n]]]);
  });

  test(".maps with key_size and value_size, and map_flags", () => {
    using b = open(`${HEAD}
      struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 3);
        __uint(key_size, sizeof(u32));
        __uint(value_size, sizeof(u64));
        __uint(map_flags, BPF_F_NO_PREALLOC);
      } t SEC(".maps");
      SEC("raw_tp") int f(${CTX}) { u32 k = 4; u64 v = 5; return bpf_map_update_elem(&t, &k, &v, 0); } ${LICENSE}`);
    run(b, "f");
    expect([b.get_table("t").items(), b.get_table("t").raw.spec.flags]).toEqual([[[4, 5n]], 1]);
  });

  test('struct bpf_map_def SEC("maps") becomes a table of plain numbers', () => {
    using b = open(`${HEAD}
      struct bpf_map_def SEC("maps") t = {
        .type = BPF_MAP_TYPE_ARRAY, .key_size = sizeof(u32), .value_size = sizeof(long), .max_entries = 4,
      };
      SEC("raw_tp") int f(${CTX}) {
        u32 key = 3;
        long *value = bpf_map_lookup_elem(&t, &key);
        if (value) *value += 9;
        return 0;
      }
      ${LICENSE}`);
    run(b, "f");
    expect(b.get_table("t").items()).toEqual([
      [0, 0n],
      [1, 0n],
      [2, 0n],
      [3, 9n],
    ]);
  });

  test("globals and statics of .bss, .data and .rodata are read from the host", () => {
    using b = open(`${HEAD}
      int zero; u64 initial = 40; static u32 hidden = 3; const volatile u32 constant = 17;
      struct pair { u8 a; u16 b; } pair = { 1, 2 };
      char text[8] = "hello";
      SEC("raw_tp") int f(${CTX}) { zero--; initial += 2; hidden *= 2; pair.b += constant; return hidden; } ${LICENSE}`);
    expect(run(b, "f")).toBe(6);
    const values = ["zero", "initial", "hidden", "constant", "pair", "text"].map((name) =>
      b.variable(name).get(),
    );
    expect(values).toEqual([-1, 42n, 6, 17, { a: 1, b: 19 }, "hello"]);
  });

  test("what the host writes to a variable, the program reads; its neighbours stay", () => {
    using b = open(`${HEAD} u32 limit = 5; u32 neighbour = 6;
      SEC("raw_tp") int f(${CTX}) { return limit * 100 + neighbour; } ${LICENSE}`);
    b.variable<number>("limit").set(31);
    expect(run(b, "f")).toBe(3106);
  });

  test("a constant cannot be written, and an unknown variable is an error with near names", () => {
    using b = open(`${HEAD} const volatile u32 constant = 17;
      SEC("raw_tp") int f(${CTX}) { return constant; } ${LICENSE}`);
    expect(failure(MapError, () => b.variable<number>("constant").set(1)).message).toBe(
      'variable "constant" is a constant, which cannot be written',
    );
    const error = failure(UsageError, () => b.variable("constnat"));
    expect(error.message).toBe('the source has no global variable "constnat"');
    expect(error.hint).toBe("did you mean constant?");
  });

  test("string constants and constant tables work", () => {
    using b = open(`${HEAD}
      static const u32 squares[] = { 0, 1, 4, 9 };
      SEC("raw_tp") int f(${CTX}) {
        const char *words = "xyz";
        return squares[ctx->args[0] & 3] + words[ctx->args[1] & 1];
      }
      ${LICENSE}`);
    expect(run(b, "f", 3, 1)).toBe(9 + "y".charCodeAt(0));
  });

  test("noinline functions stay functions that programs call", () => {
    using b = open(`${HEAD}
      static __attribute__((noinline)) int square(int x) { return x * x; }
      static __noinline int twice(int x) { return square(x) * 2; }
      SEC("raw_tp") int f(${CTX}) { return twice(ctx->args[0]); }
      SEC("raw_tp") int g(${CTX}) { return square(ctx->args[0]) + 1; } ${LICENSE}`);
    expect([run(b, "f", 5), run(b, "g", 5)]).toEqual([50, 26]);
    // 0x85 with source register 1 is a call of another function of the object.
    const insns = b.load_func("f", BPF.RAW_TRACEPOINT).program.spec.insns;
    expect(insns.some((byte, at) => at % 8 === 0 && byte === 0x85 && insns[at + 1]! >> 4 === 1)).toBe(true);
  });

  test("load_byte, load_half and load_word read a packet as the network orders it", () => {
    using b = open(`${HEAD} u64 half, word;
      SEC("socket") int f(struct __sk_buff *skb) { half = load_half(skb, 14); word = load_word(skb, 14); return load_byte(skb, 15); }
      SEC("classifier") int g(struct __sk_buff *skb) { half = load_half(skb, 14); word = load_word(skb, 14); return load_byte(skb, 15); }
      ${LICENSE}`);
    const packet = new Uint8Array(60);
    packet.set([1, 2, 3, 4], 14);
    expect(runOnPacket(b, "g", BPF.SCHED_CLS, packet).result).toBe(2);
    expect([b.variable("half").get(), b.variable("word").get()]).toEqual([0x0102n, 0x01020304n]);
  });

  test("the source's own licence counts: a helper for GPL programs is refused to others, with a hint", () => {
    const source = (license: string): string => `${HEAD}
      SEC("raw_tp") int f(${CTX}) { char text[] = "x"; bpf_trace_printk(text, sizeof(text)); return 0; }
      char _license[] SEC("license") = "${license}";`;
    using b = open(source("Proprietary"));
    expect(failure(VerifierError, () => run(b, "f")).hint).toMatch(/license to "GPL"/);
    using free = open(source("Dual BSD/GPL"));
    expect(run(free, "f")).toBe(0);
  });

  test("without a licence section the licence is GPL", () => {
    using b = open('int f(void *ctx) { bpf_trace_printk(""); return 0; }');
    expect(b.load_func("f", BPF.RAW_TRACEPOINT).program.spec.license).toBe("GPL");
  });

  test("a helper that the source declares itself works", () => {
    using b = open(`#define SEC(NAME) __attribute__((section(NAME), used))
      static unsigned long long (*get_pid)(void) = (void *)14;
      SEC("raw_tp") int f(void *ctx) { return get_pid() >> 32; }
      char _license[] SEC("license") = "GPL";`);
    expect(run(b, "f")).toBe(process.pid);
  });
});
