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

#define bpf_num_cpus() __RX_NUM_CPUS

#endif
