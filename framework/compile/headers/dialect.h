/*
 * BCC's probe macros as plain declarations. Comes before the source when it is preprocessed; everything here is a
 * macro, so what a source does not use costs nothing.
 */
#ifndef RXBPF_DIALECT_H
#define RXBPF_DIALECT_H

#define NULL ((void *)0)
#define true 1
#define false 0

#define SEC(name) __attribute__((section(name), used))
#define BCC_SEC(name) SEC(name)
#define __section(name) __attribute__((section(name)))
#define __aligned(bytes) __attribute__((aligned(bytes)))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]

#define TRACEPOINT_PROBE(category, event)                                                                          \
  int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)
#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)

/*
 * Programs on kernel functions by BTF get their arguments as an array of 64-bit words. The program takes the array; the
 * block behind the macro becomes an inlined function with the arguments as named, up to twelve.
 */
#define __rx_pick13(a, b, c, d, e, f, g, h, i, j, k, l, m, chosen, ...) chosen
#define __rx_words0()
#define __rx_words1(...) , (void *)ctx[0]
#define __rx_words2(...) __rx_words1(), (void *)ctx[1]
#define __rx_words3(...) __rx_words2(), (void *)ctx[2]
#define __rx_words4(...) __rx_words3(), (void *)ctx[3]
#define __rx_words5(...) __rx_words4(), (void *)ctx[4]
#define __rx_words6(...) __rx_words5(), (void *)ctx[5]
#define __rx_words7(...) __rx_words6(), (void *)ctx[6]
#define __rx_words8(...) __rx_words7(), (void *)ctx[7]
#define __rx_words9(...) __rx_words8(), (void *)ctx[8]
#define __rx_words10(...) __rx_words9(), (void *)ctx[9]
#define __rx_words11(...) __rx_words10(), (void *)ctx[10]
#define __rx_words12(...) __rx_words11(), (void *)ctx[11]
#define __rx_words(...)                                                                                            \
  __rx_pick13(0, ##__VA_ARGS__, __rx_words12, __rx_words11, __rx_words10, __rx_words9, __rx_words8, __rx_words7,   \
              __rx_words6, __rx_words5, __rx_words4, __rx_words3, __rx_words2, __rx_words1, __rx_words0)(__VA_ARGS__)
#define BPF_PROG(name, ...)                                                                                        \
  name(unsigned long long *ctx);                                                                                   \
  static inline __attribute__((always_inline)) int __rx_##name(unsigned long long *ctx, ##__VA_ARGS__);            \
  int name(unsigned long long *ctx) { return __rx_##name(ctx __rx_words(__VA_ARGS__)); }                           \
  static inline __attribute__((always_inline)) int __rx_##name(unsigned long long *ctx, ##__VA_ARGS__)
#define KFUNC_PROBE(event, ...) int BPF_PROG(kfunc__vmlinux__##event, ##__VA_ARGS__)
#define KRETFUNC_PROBE(event, ...) int BPF_PROG(kretfunc__vmlinux__##event, ##__VA_ARGS__)
#define MODULE_KFUNC_PROBE(module, event, ...) int BPF_PROG(kfunc__##module##__##event, ##__VA_ARGS__)
#define MODULE_KRETFUNC_PROBE(module, event, ...) int BPF_PROG(kretfunc__##module##__##event, ##__VA_ARGS__)
#define KMOD_RET(event, ...) int BPF_PROG(kmod_ret__##event, ##__VA_ARGS__)
#define LSM_PROBE(event, ...) int BPF_PROG(lsm__##event, ##__VA_ARGS__)

#define BPF_ITER(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)
#define __bpf_md_ptr(type, name)                                                                                   \
  union {                                                                                                          \
    type name;                                                                                                     \
    __u64 : 64;                                                                                                    \
  } __attribute__((aligned(8)))

/* libbpf's macros for programs on registers, in the shape of BPF_PROG: named parameters, the result, a call's. */
#define __rx_args0(read)
#define __rx_args1(read, ...) , (void *)read(ctx, 1)
#define __rx_args2(read, ...) __rx_args1(read), (void *)read(ctx, 2)
#define __rx_args3(read, ...) __rx_args2(read), (void *)read(ctx, 3)
#define __rx_args4(read, ...) __rx_args3(read), (void *)read(ctx, 4)
#define __rx_args5(read, ...) __rx_args4(read), (void *)read(ctx, 5)
#define __rx_args6(read, ...) __rx_args5(read), (void *)read(ctx, 6)
#define __rx_args7(read, ...) __rx_args6(read), (void *)read(ctx, 7)
#define __rx_args8(read, ...) __rx_args7(read), (void *)read(ctx, 8)
#define __rx_args9(read, ...) __rx_args8(read), (void *)read(ctx, 9)
#define __rx_args10(read, ...) __rx_args9(read), (void *)read(ctx, 10)
#define __rx_args11(read, ...) __rx_args10(read), (void *)read(ctx, 11)
#define __rx_args12(read, ...) __rx_args11(read), (void *)read(ctx, 12)
#define __rx_args(read, ...)                                                                                       \
  __rx_pick13(0, ##__VA_ARGS__, __rx_args12, __rx_args11, __rx_args10, __rx_args9, __rx_args8, __rx_args7,         \
              __rx_args6, __rx_args5, __rx_args4, __rx_args3, __rx_args2, __rx_args1, __rx_args0)(read)
#define __rx_on_registers(name, arguments, ...)                                                                    \
  name(struct pt_regs *ctx);                                                                                       \
  static inline __attribute__((always_inline)) int __rx_##name(struct pt_regs *ctx, ##__VA_ARGS__);                \
  int name(struct pt_regs *ctx) { return __rx_##name(ctx arguments); }                                             \
  static inline __attribute__((always_inline)) int __rx_##name(struct pt_regs *ctx, ##__VA_ARGS__)
#define BPF_KPROBE(name, ...) __rx_on_registers(name, __rx_args(bcc_parm, ##__VA_ARGS__), ##__VA_ARGS__)
#define BPF_UPROBE(name, ...) BPF_KPROBE(name, ##__VA_ARGS__)
#define BPF_KSYSCALL(name, ...) __rx_on_registers(name, __rx_args(bcc_syscall_parm, ##__VA_ARGS__), ##__VA_ARGS__)
#define BPF_KPROBE_SYSCALL(name, ...) BPF_KSYSCALL(name, ##__VA_ARGS__)
#define __rx_usdt_argument(ctx, n)                                                                                 \
  ({                                                                                                               \
    long __rx_value = 0;                                                                                           \
    bpf_usdt_readarg(n, ctx, &__rx_value);                                                                         \
    __rx_value;                                                                                                    \
  })
#define BPF_USDT(name, ...) __rx_on_registers(name, __rx_args(__rx_usdt_argument, ##__VA_ARGS__), ##__VA_ARGS__)
#define bpf_usdt_arg(ctx, n, into) bpf_usdt_readarg((n) + 1, ctx, into)
#define __rx_result0()
#define __rx_result1() , (void *)PT_REGS_RC(ctx)
#define __rx_pick2(a, b, chosen, ...) chosen
#define BPF_KRETPROBE(name, ...)                                                                                   \
  __rx_on_registers(name, __rx_pick2(0, ##__VA_ARGS__, __rx_result1, __rx_result0)(), ##__VA_ARGS__)
#define BPF_URETPROBE(name, ...) BPF_KRETPROBE(name, ##__VA_ARGS__)

#define bpf_num_cpus() __RX_NUM_CPUS

/* A struct whose members lie as the network sends them. A pointer to one is an offset into the packet. */
#define BPF_PACKET_HEADER __attribute__((packed, annotate("rx:packet")))
#define cursor_advance(cursor, length)                                                                             \
  ({                                                                                                               \
    void *__rx_before = (cursor);                                                                                  \
    (cursor) += (length);                                                                                          \
    __rx_before;                                                                                                   \
  })

#endif
