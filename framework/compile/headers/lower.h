/*
 * What BCC's macros and table methods become. The rewriter only re-spells calls; their meaning is here.
 *
 * Helper pointers have names of their own, so that a source may declare the usual names itself. Temporaries begin
 * with __rx_, which no source uses.
 */
#ifndef RXBPF_LOWER_H
#define RXBPF_LOWER_H

/* ---- words of kernel headers; behind the kernel's types, whose members may be called so ---- */

#define offsetof(type, member) __builtin_offsetof(type, member)
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __packed __attribute__((packed))
#define __maybe_unused __attribute__((unused))
#define __must_check
#define __user
#define __kernel
#define __rcu
#define __percpu
#define __iomem
#define __force
#define __bitwise
#define __init
#define __exit
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))

static void *(*const __rx_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*const __rx_map_update_elem)(void *, const void *, const void *, __u64) = (void *)2;
static long (*const __rx_map_delete_elem)(void *, const void *) = (void *)3;
static long (*const __rx_probe_read)(void *, __u32, const void *) = (void *)4;
static long (*const __rx_trace_printk)(const char *, __u32, ...) = (void *)6;
static __u32 (*const __rx_get_smp_processor_id)(void) = (void *)8;
static long (*const __rx_l3_csum_replace)(void *, __u32, __u64, __u64, __u64) = (void *)10;
static long (*const __rx_l4_csum_replace)(void *, __u32, __u64, __u64, __u64) = (void *)11;
static long (*const __rx_tail_call)(void *, void *, __u32) = (void *)12;
static __u64 (*const __rx_perf_event_read)(void *, __u64) = (void *)22;
static long (*const __rx_perf_event_output)(void *, void *, __u64, void *, __u64) = (void *)25;
static long (*const __rx_get_stackid)(void *, void *, __u64) = (void *)27;
static long (*const __rx_skb_under_cgroup)(void *, void *, __u32) = (void *)33;
static long (*const __rx_current_task_under_cgroup)(void *, __u32) = (void *)37;
static long (*const __rx_redirect_map)(void *, __u64, __u64) = (void *)51;
static long (*const __rx_sk_redirect_map)(void *, void *, __u32, __u64) = (void *)52;
static long (*const __rx_sock_map_update)(void *, void *, void *, __u64) = (void *)53;
static long (*const __rx_perf_event_read_value)(void *, __u64, void *, __u32) = (void *)55;
static long (*const __rx_msg_redirect_map)(void *, void *, __u32, __u64) = (void *)60;
static long (*const __rx_sock_hash_update)(void *, void *, void *, __u64) = (void *)70;
static long (*const __rx_msg_redirect_hash)(void *, void *, void *, __u64) = (void *)71;
static long (*const __rx_sk_redirect_hash)(void *, void *, void *, __u64) = (void *)72;
static void *(*const __rx_get_local_storage)(void *, __u64) = (void *)81;
static long (*const __rx_sk_select_reuseport)(void *, void *, void *, __u64) = (void *)82;
static long (*const __rx_map_push_elem)(void *, const void *, __u64) = (void *)87;
static long (*const __rx_map_pop_elem)(void *, void *) = (void *)88;
static long (*const __rx_map_peek_elem)(void *, void *) = (void *)89;
static void *(*const __rx_sk_storage_get)(void *, void *, void *, __u64) = (void *)107;
static long (*const __rx_sk_storage_delete)(void *, void *) = (void *)108;
static long (*const __rx_probe_read_user)(void *, __u32, const void *) = (void *)112;
static long (*const __rx_probe_read_kernel)(void *, __u32, const void *) = (void *)113;
static long (*const __rx_probe_read_kernel_str)(void *, __u32, const void *) = (void *)115;
static long (*const __rx_ringbuf_output)(void *, void *, __u64, __u64) = (void *)130;
static void *(*const __rx_ringbuf_reserve)(void *, __u64, __u64) = (void *)131;
static void (*const __rx_ringbuf_submit)(void *, __u64) = (void *)132;
static void (*const __rx_ringbuf_discard)(void *, __u64) = (void *)133;
static __u64 (*const __rx_ringbuf_query)(void *, __u64) = (void *)134;
static long (*const __rx_seq_printf)(void *, const char *, __u32, const void *, __u32) = (void *)126;
static long (*const __rx_seq_write)(void *, const void *, __u32) = (void *)127;
static void *(*const __rx_inode_storage_get)(void *, void *, void *, __u64) = (void *)145;
static int (*const __rx_inode_storage_delete)(void *, void *) = (void *)146;
static void *(*const __rx_task_storage_get)(void *, void *, void *, __u64) = (void *)156;
static long (*const __rx_task_storage_delete)(void *, void *) = (void *)157;
static long (*const __rx_for_each_map_elem)(void *, void *, void *, __u64) = (void *)164;
static long (*const __rx_trace_vprintk)(const char *, __u32, const void *, __u32) = (void *)177;
static void *(*const __rx_map_lookup_percpu_elem)(void *, const void *, __u32) = (void *)195;
static long (*const __rx_ringbuf_reserve_dynptr)(void *, __u32, __u64, void *) = (void *)198;
static void (*const __rx_ringbuf_submit_dynptr)(void *, __u64) = (void *)199;
static void (*const __rx_ringbuf_discard_dynptr)(void *, __u64) = (void *)200;
static long (*const __rx_user_ringbuf_drain)(void *, void *, void *, __u64) = (void *)209;
static void *(*const __rx_cgrp_storage_get)(void *, void *, void *, __u64) = (void *)210;
static long (*const __rx_cgrp_storage_delete)(void *, void *) = (void *)211;

#define __RX_ANY 0
#define __RX_NOEXIST 1
#define __RX_CURRENT_CPU 0xffffffffULL

/* ---- counters of what was lost ---- */

/*
 * Of ring buffers, failed reservations, which the kernel does not count; of other tables, on request, refused updates. A
 * variable beside the table, with one slot per CPU number, modulo the slots. A variable, because a table's lookup would
 * have one more branch, and a loop of outputs would cost the verifier many times as much.
 */
#define __RX_DROP_SLOTS 256
#define __rx_drop_variable(lost) static __u64 lost[__RX_DROP_SLOTS] __attribute__((section(".data." #lost)))
#define __rx_add_drop(lost)                                                                                        \
  ((void)__sync_fetch_and_add(&lost[__rx_get_smp_processor_id() & (__RX_DROP_SLOTS - 1)], 1))

#ifdef RX_NO_DROP_COUNTS
#define bcc_drop_counter(lost)
#define __rx_count_drop(lost) ((void)0)
#else
#define bcc_drop_counter(lost) __rx_drop_variable(lost) __attribute__((used))
#define __rx_count_drop(lost) __rx_add_drop(lost)
#endif

#ifdef RX_COUNT_FAILED_UPDATES
#define bcc_update_counter(lost) __rx_drop_variable(lost) __attribute__((used))
/* That the key is there already is an answer. */
#define __RX_EEXIST 17
#define __rx_counted(lost, update)                                                                                 \
  ({                                                                                                               \
    long __rx_u = (update);                                                                                        \
    if (__rx_u && __rx_u != -__RX_EEXIST)                                                                          \
      __rx_add_drop(lost);                                                                                         \
    __rx_u;                                                                                                        \
  })
#else
#define bcc_update_counter(lost)
#define __rx_counted(lost, update) (update)
#endif

/* Another object's table has a counter that takes this one's place; only what adds to it needs one. */
#if defined(RX_NO_DROP_COUNTS) && !defined(RX_COUNT_FAILED_UPDATES)
#define bcc_extern_drop_counter(lost)
#else
#define bcc_extern_drop_counter(lost) __rx_drop_variable(lost)
#endif

/* ---- tables ---- */

/* Stack tables need a power of two; BCC rounds up. */
#define __rx_power_of_two(n) ((n) <= 1 ? 1 : 1 << (32 - __builtin_clz((n) - 1)))

#define __rx_value(map) typeof(*(map)->value)
#define __rx_key(map) typeof(*(map)->key)

/* Behind the source, when all types are complete: the compiler's findings lead to the table's macro. */
#define bcc_check_key(map) _Static_assert(sizeof(*(map).key) > 0, "the keys of table \"" #map "\" have no bytes")
#define bcc_check_value(map) _Static_assert(sizeof(*(map).value) > 0, "the values of table \"" #map "\" have no bytes")
#define bcc_check_histogram(map)                                                                                   \
  _Static_assert(__builtin_types_compatible_p(typeof(*(map).value), __u64),                                        \
                 "the values of a histogram such as \"" #map "\" are u64")

#define bcc_lookup(map, key) ((__rx_value(map) *)__rx_map_lookup_elem(map, key))
#define bcc_update(map, lost, key, value) __rx_counted(lost, __rx_map_update_elem(map, key, value, __RX_ANY))
#define bcc_insert(map, lost, key, value) __rx_counted(lost, __rx_map_update_elem(map, key, value, __RX_NOEXIST))
#define bcc_delete(map, key) __rx_map_delete_elem(map, key)

/* Copies of many bytes would become many instructions, and those of more than a kilobyte a call that BPF cannot make. */
#define __rx_copy(to, from, size)                                                                                  \
  ((size) > 256 ? (void)__rx_probe_read_kernel(to, size, from) : (void)__builtin_memcpy(to, from, (size) > 256 ? 0 : (size)))

/* Null when the table is full. Key and value are evaluated once. */
#define bcc_lookup_or_try_init(map, lost, key, initial)                                                               \
  ({                                                                                                               \
    const void *__rx_k = (key);                                                                                    \
    const void *__rx_i = (initial);                                                                                \
    __rx_value(map) *__rx_v = __rx_map_lookup_elem(map, __rx_k);                                                   \
    if (!__rx_v) {                                                                                                 \
      (void)__rx_counted(lost, __rx_map_update_elem(map, __rx_k, __rx_i, __RX_NOEXIST));                            \
      __rx_v = __rx_map_lookup_elem(map, __rx_k);                                                                  \
    }                                                                                                              \
    __rx_v;                                                                                                        \
  })

/*
 * Never null. Where the table is full the value is a spare one, with the initial value in it, that nobody reads: one
 * for each CPU number, modulo the spares, so that CPUs do not disturb each other.
 */
#define __RX_SPARES 64
#define bcc_lookup_or_init(map, lost, key, initial)                                                                   \
  ({                                                                                                               \
    static __rx_value(map) __rx_spare[__RX_SPARES] __attribute__((section(".data.__rx_spare")));                    \
    const void *__rx_j = (initial);                                                                                \
    __rx_value(map) *__rx_o = bcc_lookup_or_try_init(map, lost, key, __rx_j);                                      \
    if (!__rx_o) {                                                                                                 \
      __rx_o = &__rx_spare[__rx_get_smp_processor_id() & (__RX_SPARES - 1)];                                       \
      __rx_copy(__rx_o, __rx_j, sizeof(*__rx_o));                                                                  \
    }                                                                                                              \
    __rx_o;                                                                                                        \
  })

/* Arrays (BPF_MAP_TYPE_ARRAY and PERCPU_ARRAY) have every key that they can have. The number is in the map's type. */
#define __rx_map_type(map) (sizeof(*(map)->type) / sizeof(int))
#define __rx_has_all_keys(map) (__rx_map_type(map) == 2 || __rx_map_type(map) == 6)

/* A missing key is made with zero, and then added to: another CPU may have made it first. */
#define __rx_add_to(map, lost, wanted, add, amount)                                                                \
  ({                                                                                                               \
    _Static_assert(__builtin_classify_type(*(map)->value) < 12, "increment adds to numbers, which the values are not");\
    __rx_key(map) __rx_k = wanted;                                                                                 \
    __rx_value(map) __rx_n = amount;                                                                               \
    __rx_value(map) *__rx_v = __rx_map_lookup_elem(map, &__rx_k);                                                  \
    if (!__rx_has_all_keys(map) && !__rx_v) {                                                                      \
      __rx_value(map) __rx_z = 0;                                                                                  \
      (void)__rx_counted(lost, __rx_map_update_elem(map, &__rx_k, &__rx_z, __RX_NOEXIST));                          \
      __rx_v = __rx_map_lookup_elem(map, &__rx_k);                                                                 \
    }                                                                                                              \
    if (__rx_v)                                                                                                    \
      (void)(add);                                                                                                 \
  })
#define __rx_amount(ignored, n, ...) (n)
#define bcc_increment(map, lost, key, ...)                                                                         \
  __rx_add_to(map, lost, key, *__rx_v += __rx_n, __rx_amount(0, ##__VA_ARGS__, 1))
#define bcc_atomic_increment(map, lost, key, ...)                                                                  \
  __rx_add_to(map, lost, key, __sync_fetch_and_add(__rx_v, __rx_n), __rx_amount(0, ##__VA_ARGS__, 1))

/* The kernel's names, for what BCC has no method. A callback is a static function. */
#define bcc_for_each_map_elem(map, callback, ctx, flags)                                                           \
  __rx_for_each_map_elem(map, (void *)(callback), (void *)(ctx), flags)
#define bcc_map_lookup_percpu_elem(map, key, cpu) ((__rx_value(map) *)__rx_map_lookup_percpu_elem(map, key, cpu))

#define bcc_push(map, lost, value, flags) __rx_counted(lost, __rx_map_push_elem(map, value, flags))
#define bcc_pop(map, value) __rx_map_pop_elem(map, value)
#define bcc_peek(map, value) __rx_map_peek_elem(map, value)

#define bcc_call(map, ctx, index) __rx_tail_call((void *)(ctx), map, index)
#define bcc_get_stackid(map, ctx, flags) __rx_get_stackid((void *)(ctx), map, flags)
#define bcc_check_current_task(map, index) __rx_current_task_under_cgroup(map, index)
#define bcc_perf_read(map, index) __rx_perf_event_read(map, index)
#define bcc_perf_counter_value(map, index, buffer, size) __rx_perf_event_read_value(map, index, buffer, size)

#define bcc_redirect_map(map, index, flags) __rx_redirect_map(map, index, flags)
#define bcc_sk_storage_get(map, object, initial, flags)                                                            \
  ((__rx_value(map) *)__rx_sk_storage_get(map, object, (void *)(initial), flags))
#define bcc_sk_storage_delete(map, object) __rx_sk_storage_delete(map, object)
#define bcc_inode_storage_get(map, object, initial, flags)                                                         \
  ((__rx_value(map) *)__rx_inode_storage_get(map, object, (void *)(initial), flags))
#define bcc_inode_storage_delete(map, object) __rx_inode_storage_delete(map, object)
#define bcc_task_storage_get(map, object, initial, flags)                                                          \
  ((__rx_value(map) *)__rx_task_storage_get(map, object, (void *)(initial), flags))
#define bcc_task_storage_delete(map, object) __rx_task_storage_delete(map, object)
#define bcc_get_local_storage(map, flags) ((__rx_value(map) *)__rx_get_local_storage(map, flags))
#define bcc_sock_map_update(map, ops, key, flags) __rx_sock_map_update((void *)(ops), map, key, flags)
#define bcc_sock_hash_update(map, ops, key, flags) __rx_sock_hash_update((void *)(ops), map, key, flags)
#define bcc_msg_redirect_hash(map, msg, key, flags) __rx_msg_redirect_hash((void *)(msg), map, key, flags)
#define bcc_sk_redirect_hash(map, skb, key, flags) __rx_sk_redirect_hash((void *)(skb), map, key, flags)

#define bcc_cgrp_storage_get(map, object, initial, flags)                                                          \
  ((__rx_value(map) *)__rx_cgrp_storage_get(map, object, (void *)(initial), flags))
#define bcc_cgrp_storage_delete(map, object) __rx_cgrp_storage_delete(map, object)
#define bcc_skb_under_cgroup(map, skb, index) __rx_skb_under_cgroup((void *)(skb), map, index)
#define bcc_msg_redirect_map(map, msg, index, flags) __rx_msg_redirect_map((void *)(msg), map, index, flags)
#define bcc_sk_redirect_map(map, skb, index, flags) __rx_sk_redirect_map((void *)(skb), map, index, flags)
#define bcc_sk_select_reuseport(map, reuse, key, flags) __rx_sk_select_reuseport((void *)(reuse), map, key, flags)
#define bcc_user_ringbuf_drain(map, callback, ctx, flags)                                                          \
  __rx_user_ringbuf_drain(map, (void *)(callback), (void *)(ctx), flags)

/* ---- events ---- */

/*
 * A variable of a pointer to the event, in a section that is read for its type and never loaded. An event given as an
 * array has a pointer to the array.
 */
#define __rx_is_pointer(x) __builtin_types_compatible_p(typeof(x), typeof(&*(x)))
#define __rx_anchor(anchor, x)                                                                                     \
  static typeof(__builtin_choose_expr(__rx_is_pointer(x), (typeof(&*(x)))0, (typeof(x) *)0)) anchor                \
      __attribute__((section(".bcc.types"), used))

/* What the host sends through a user ring buffer, whose map has no type of its own. */
#define bcc_sent_type(map, type)                                                                                   \
  static __typeof__(type) *__bcc_event_##map __attribute__((section(".bcc.types"), used))

/*
 * Where events of several types share a buffer and their lengths do not tell them apart, the compiler is told so by a
 * macro of the buffer's own, `tags`. Then a record has eight bytes before the event, which the host takes off again:
 * the number of the call that submitted it. Otherwise records are the event's bytes and nothing else.
 */
#define __rx_second(a, b, ...) b
#define __rx_on_1 0,
#define __rx_if(tags) __rx_if_(tags)
#define __rx_if_(value) __rx_if__(__rx_on_##value)
#define __rx_if__(mark) __rx_second(mark 1, 0, 0)
#define __rx_join(a, b) __rx_join_(a, b)
#define __rx_join_(a, b) a##b
#define __rx_way(what, tags) __rx_join(what, __rx_if(tags))

#define __rx_perf_0(map, tag, anchor, type, flags, ctx, data, size)                                                \
  ({                                                                                                               \
    __rx_anchor(anchor, type);                                                                                     \
    __rx_perf_event_output((void *)(ctx), map, flags, (void *)(data), size);                                       \
  })
#define __rx_perf_1(map, tag, anchor, type, flags, ctx, data, size)                                                \
  ({                                                                                                               \
    __rx_anchor(__tagged_##anchor, type);                                                                          \
    struct {                                                                                                       \
      __u64 call;                                                                                                  \
      char bytes[size];                                                                                            \
    } __rx_t;                                                                                                      \
    __rx_t.call = tag;                                                                                             \
    __builtin_memcpy(__rx_t.bytes, data, size);                                                                    \
    __rx_perf_event_output((void *)(ctx), map, flags, &__rx_t, sizeof(__u64) + (size));                            \
  })
#define bcc_perf_submit(map, tags, tag, anchor, type, ctx, data, size)                                             \
  __rx_way(__rx_perf_, tags)(map, tag, anchor, type, __RX_CURRENT_CPU, ctx, data, size)
#define bcc_perf_submit_skb(map, tags, tag, anchor, type, skb, length, data, size)                                 \
  __rx_way(__rx_perf_, tags)                                                                                       \
  (map, tag, anchor, type, ((__u64)(length) << 32) | __RX_CURRENT_CPU, skb, data, size)

#define __rx_ring_output_0(map, tag, lost, anchor, type, data, size, flags)                                        \
  ({                                                                                                               \
    __rx_anchor(anchor, type);                                                                                     \
    long __rx_e = __rx_ringbuf_output(map, (void *)(data), size, flags);                                           \
    if (__rx_e)                                                                                                    \
      __rx_count_drop(lost);                                                                                       \
    __rx_e;                                                                                                        \
  })
#define __rx_ring_output_1(map, tag, lost, anchor, type, data, size, flags)                                        \
  ({                                                                                                               \
    __rx_anchor(__tagged_##anchor, type);                                                                          \
    _Static_assert(__builtin_constant_p(size), "events of several types have constant sizes");                     \
    long __rx_e = -11; /* EAGAIN */                                                                                \
    __u64 *__rx_r = __rx_ringbuf_reserve(map, sizeof(__u64) + (size), 0);                                          \
    if (__rx_r) {                                                                                                  \
      *__rx_r = tag;                                                                                               \
      __rx_copy(__rx_r + 1, data, size);                                                                           \
      __rx_ringbuf_submit(__rx_r, flags);                                                                          \
      __rx_e = 0;                                                                                                  \
    } else                                                                                                         \
      __rx_count_drop(lost);                                                                                       \
    __rx_e;                                                                                                        \
  })
#define bcc_ringbuf_output(map, tags, tag, lost, anchor, type, data, size, flags)                                  \
  __rx_way(__rx_ring_output_, tags)(map, tag, lost, anchor, type, data, size, flags)
#define __rx_ring_reserve_0(map, lost, size)                                                                       \
  ({                                                                                                               \
    void *__rx_r = __rx_ringbuf_reserve(map, size, 0);                                                             \
    if (!__rx_r)                                                                                                   \
      __rx_count_drop(lost);                                                                                       \
    __rx_r;                                                                                                        \
  })
#define __rx_ring_reserve_1(map, lost, size)                                                                       \
  ({                                                                                                               \
    __u64 *__rx_r = __rx_ringbuf_reserve(map, sizeof(__u64) + (size), 0);                                          \
    if (__rx_r)                                                                                                    \
      __rx_r++;                                                                                                    \
    else                                                                                                           \
      __rx_count_drop(lost);                                                                                       \
    (void *)__rx_r;                                                                                                \
  })
#define bcc_ringbuf_reserve(map, tags, lost, size) __rx_way(__rx_ring_reserve_, tags)(map, lost, size)
#define __rx_ring_submit_0(tag, anchor, type, data, flags)                                                         \
  ({                                                                                                               \
    __rx_anchor(anchor, type);                                                                                     \
    __rx_ringbuf_submit((void *)(data), flags);                                                                    \
  })
#define __rx_ring_submit_1(tag, anchor, type, data, flags)                                                         \
  ({                                                                                                               \
    __rx_anchor(__tagged_##anchor, type);                                                                          \
    __u64 *__rx_r = (__u64 *)(data) - 1;                                                                           \
    *__rx_r = tag;                                                                                                 \
    __rx_ringbuf_submit(__rx_r, flags);                                                                            \
  })
#define bcc_ringbuf_submit(map, tags, tag, anchor, type, data, flags)                                              \
  __rx_way(__rx_ring_submit_, tags)(tag, anchor, type, data, flags)
#define __rx_ring_discard_0(data, flags) __rx_ringbuf_discard((void *)(data), flags)
#define __rx_ring_discard_1(data, flags) __rx_ringbuf_discard((__u64 *)(data) - 1, flags)
#define bcc_ringbuf_discard(map, tags, data, flags) __rx_way(__rx_ring_discard_, tags)(data, flags)
#define bcc_ringbuf_reserve_dynptr(map, lost, size, flags, dynptr)                                                 \
  ({                                                                                                               \
    long __rx_e = __rx_ringbuf_reserve_dynptr(map, size, flags, dynptr);                                           \
    if (__rx_e)                                                                                                    \
      __rx_count_drop(lost);                                                                                       \
    __rx_e;                                                                                                        \
  })
#define bcc_ringbuf_submit_dynptr(map, dynptr, flags) __rx_ringbuf_submit_dynptr(dynptr, flags)
#define bcc_ringbuf_discard_dynptr(map, dynptr, flags) __rx_ringbuf_discard_dynptr(dynptr, flags)
#define bcc_ringbuf_query(map, flags) __rx_ringbuf_query(map, flags)

/* ---- loads from kernel and user memory ---- */

/*
 * A failed read gives zeros: the helpers clear what they could not fill. Of an array, which only gives its address,
 * nothing is read.
 */
#define __rx_is_array(x) (!__builtin_types_compatible_p(__typeof__(x), __typeof__((0, x))))
#define __rx_load(read, ...)                                                                                       \
  ({                                                                                                               \
    __auto_type __rx_p = &(__VA_ARGS__);                                                                           \
    __builtin_choose_expr(__rx_is_array(*__rx_p), *__rx_p, ({                                                      \
                            union {                                                                                \
                              __typeof__(__builtin_choose_expr(__rx_is_array(*__rx_p), 0, *__rx_p)) value;         \
                              char bytes[sizeof(__builtin_choose_expr(__rx_is_array(*__rx_p), 0, *__rx_p))];       \
                            } __rx_u;                                                                              \
                            read(__rx_u.bytes, sizeof(__rx_u.bytes), (const void *)__rx_p);                        \
                            __rx_u.value;                                                                          \
                          }));                                                                                     \
  })
#define __rx_load_kernel(...) __rx_load(__rx_probe_read_kernel, __VA_ARGS__)
#define __rx_load_user(...) __rx_load(__rx_probe_read_user, __VA_ARGS__)
/* The first read helper tells kernel from user memory by the address, on machines where the two do not overlap. */
#if defined(__TARGET_ARCH_x86) || defined(__TARGET_ARCH_arm64)
#define __rx_read_any __rx_probe_read
#else
#define __rx_read_any __rx_probe_read_kernel
#endif
#define __rx_load_any(...) __rx_load(__rx_read_any, __VA_ARGS__)

#define __rx_load_kernel_bytes __rx_probe_read_kernel
#define __rx_load_user_bytes __rx_probe_read_user
#define __rx_load_any_bytes __rx_read_any
#define __rx_bits(read, record, first, count, shift, width)                                                        \
  ({                                                                                                               \
    __u64 __rx_w = 0;                                                                                              \
    read(&__rx_w, count, (const char *)(record) + first);                                                          \
    __rx_w << (64 - shift - width) >> (64 - width);                                                                \
  })
#define __rx_signed_bits(read, record, first, count, shift, width)                                                 \
  ((__s64)(__rx_bits(read, record, first, count, shift, width) << (64 - width)) >> (64 - width))

/* ---- printing ---- */

#define __rx_pick(a, b, c, d, e, f, g, h, i, j, k, l, m, chosen, ...) chosen
#define __rx_printk(format, ...)                                                                                   \
  ({                                                                                                               \
    static const char __rx_format[] = format;                                                                      \
    __rx_trace_printk(__rx_format, sizeof(__rx_format), ##__VA_ARGS__);                                            \
  })
/* The format is an array, whose size is the text's. */
#define bcc_trace_printk_array(format, ...)                                                                        \
  ({                                                                                                               \
    _Static_assert(!__rx_is_pointer(format), "the format is a pointer: give its size too");                        \
    __rx_trace_printk(format, sizeof(format), ##__VA_ARGS__);                                                      \
  })
#define __rx_each1(a) (__u64)(a)
#define __rx_each4(a, b, c, d) (__u64)(a), (__u64)(b), (__u64)(c), (__u64)(d)
#define __rx_each5(a, ...) (__u64)(a), __rx_each4(__VA_ARGS__)
#define __rx_each6(a, ...) (__u64)(a), __rx_each5(__VA_ARGS__)
#define __rx_each7(a, ...) (__u64)(a), __rx_each6(__VA_ARGS__)
#define __rx_each8(a, ...) (__u64)(a), __rx_each7(__VA_ARGS__)
#define __rx_each9(a, ...) (__u64)(a), __rx_each8(__VA_ARGS__)
#define __rx_each10(a, ...) (__u64)(a), __rx_each9(__VA_ARGS__)
#define __rx_each11(a, ...) (__u64)(a), __rx_each10(__VA_ARGS__)
#define __rx_each12(a, ...) (__u64)(a), __rx_each11(__VA_ARGS__)
#define __rx_vprintk(each, format, ...)                                                                            \
  ({                                                                                                               \
    static const char __rx_format[] = format;                                                                      \
    __u64 __rx_values[] = {each(__VA_ARGS__)};                                                                     \
    __rx_trace_vprintk(__rx_format, sizeof(__rx_format), __rx_values, sizeof(__rx_values));                        \
  })
#define __rx_vprintk4(...) __rx_vprintk(__rx_each4, __VA_ARGS__)
#define __rx_vprintk5(...) __rx_vprintk(__rx_each5, __VA_ARGS__)
#define __rx_vprintk6(...) __rx_vprintk(__rx_each6, __VA_ARGS__)
#define __rx_vprintk7(...) __rx_vprintk(__rx_each7, __VA_ARGS__)
#define __rx_vprintk8(...) __rx_vprintk(__rx_each8, __VA_ARGS__)
#define __rx_vprintk9(...) __rx_vprintk(__rx_each9, __VA_ARGS__)
#define __rx_vprintk10(...) __rx_vprintk(__rx_each10, __VA_ARGS__)
#define __rx_vprintk11(...) __rx_vprintk(__rx_each11, __VA_ARGS__)
#define __rx_vprintk12(...) __rx_vprintk(__rx_each12, __VA_ARGS__)
/* Up to three values fit the registers of trace_printk (4.1); more go through trace_vprintk (5.16). */
#define bcc_trace_printk(...)                                                                                      \
  __rx_pick(__VA_ARGS__, __rx_vprintk12, __rx_vprintk11, __rx_vprintk10, __rx_vprintk9, __rx_vprintk8,             \
            __rx_vprintk7, __rx_vprintk6, __rx_vprintk5, __rx_vprintk4, __rx_printk, __rx_printk, __rx_printk,     \
            __rx_printk, )(__VA_ARGS__)

/* What iterators write: the record's type is kept for the host. */
#define bpf_seq_write(seq, data, size)                                                                             \
  ({                                                                                                               \
    __rx_anchor(__rx_record, data);                                                                                \
    __rx_seq_write(seq, (const void *)(data), size);                                                               \
  })
#define __rx_each2(a, ...) (__u64)(a), __rx_each1(__VA_ARGS__)
#define __rx_each3(a, ...) (__u64)(a), __rx_each2(__VA_ARGS__)
#define __rx_seq_printf0(seq, format)                                                                              \
  ({                                                                                                               \
    static const char __rx_format[] = format;                                                                      \
    __rx_seq_printf(seq, __rx_format, sizeof(__rx_format), (void *)0, 0);                                          \
  })
#define __rx_seq_printf_each(each, seq, format, ...)                                                               \
  ({                                                                                                               \
    static const char __rx_format[] = format;                                                                      \
    __u64 __rx_values[] = {each(__VA_ARGS__)};                                                                     \
    __rx_seq_printf(seq, __rx_format, sizeof(__rx_format), __rx_values, sizeof(__rx_values));                      \
  })
#define __rx_seq_printf1(...) __rx_seq_printf_each(__rx_each1, __VA_ARGS__)
#define __rx_seq_printf2(...) __rx_seq_printf_each(__rx_each2, __VA_ARGS__)
#define __rx_seq_printf3(...) __rx_seq_printf_each(__rx_each3, __VA_ARGS__)
#define __rx_seq_printf4(...) __rx_seq_printf_each(__rx_each4, __VA_ARGS__)
#define __rx_seq_printf5(...) __rx_seq_printf_each(__rx_each5, __VA_ARGS__)
#define __rx_seq_printf6(...) __rx_seq_printf_each(__rx_each6, __VA_ARGS__)
#define __rx_seq_printf7(...) __rx_seq_printf_each(__rx_each7, __VA_ARGS__)
#define __rx_seq_printf8(...) __rx_seq_printf_each(__rx_each8, __VA_ARGS__)
#define __rx_seq_printf9(...) __rx_seq_printf_each(__rx_each9, __VA_ARGS__)
#define __rx_seq_printf10(...) __rx_seq_printf_each(__rx_each10, __VA_ARGS__)
#define __rx_seq_printf11(...) __rx_seq_printf_each(__rx_each11, __VA_ARGS__)
#define __rx_seq_printf12(...) __rx_seq_printf_each(__rx_each12, __VA_ARGS__)
#define BPF_SEQ_PRINTF(seq, ...)                                                                                   \
  __rx_pick(__VA_ARGS__, __rx_seq_printf12, __rx_seq_printf11, __rx_seq_printf10, __rx_seq_printf9,                \
            __rx_seq_printf8, __rx_seq_printf7, __rx_seq_printf6, __rx_seq_printf5, __rx_seq_printf4,              \
            __rx_seq_printf3, __rx_seq_printf2, __rx_seq_printf1, __rx_seq_printf0, )(seq, __VA_ARGS__)

/* ---- registers and parameters ---- */

#if defined(__TARGET_ARCH_x86)
struct __rx_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#define __RX_P1 di
#define __RX_P2 si
#define __RX_P3 dx
#define __RX_P4 cx
#define __RX_P5 r8
#define __RX_P6 r9
#define __RX_S4 r10
/* Six registers; then the stack, behind the return address. */
#define __rx_parm7(x) __rx_stacked(x, 1)
#define __rx_parm8(x) __rx_stacked(x, 2)
#define __RX_FIRST_STACKED 3
/* A 32-bit program's system call, which the kernel gives its parameters in another order. */
#define __rx_ia32_reg1 bx
#define __rx_ia32_reg2 cx
#define __rx_ia32_reg3 dx
#define __rx_ia32_reg4 si
#define __rx_ia32_reg5 di
#define __rx_ia32_reg6 bp
#define __RX_RC ax
#define __RX_IP ip
#define __RX_SP sp
#define __RX_FP bp
#define __rx_user_mode(x) ((__rx_of(x)->cs & 3) != 0)
#elif defined(__TARGET_ARCH_arm64)
struct __rx_regs {
  unsigned long x0, x1, x2, x3, x4, x5, x6, x7, middle[21], x29, x30, sp, pc, pstate;
};
#define __RX_P1 x0
#define __RX_P2 x1
#define __RX_P3 x2
#define __RX_P4 x3
#define __RX_P5 x4
#define __RX_P6 x5
#define __RX_S4 x3
/* Eight registers; then the stack. */
#define __rx_parm7(x) (__rx_of(x)->x6)
#define __rx_parm8(x) (__rx_of(x)->x7)
#define __RX_FIRST_STACKED 0
#define __rx_ia32_reg1 x0
#define __rx_ia32_reg2 x1
#define __rx_ia32_reg3 x2
#define __rx_ia32_reg4 x3
#define __rx_ia32_reg5 x4
#define __rx_ia32_reg6 x5
#define __RX_RC x0
#define __RX_IP pc
#define __RX_SP sp
#define __RX_FP x29
#define __rx_user_mode(x) ((__rx_of(x)->pstate & 15) == 0)
#endif

#define __rx_of(x) ((const volatile struct __rx_regs *)(x))
#define __rx_saved(x, field)                                                                                       \
  ({                                                                                                               \
    unsigned long __rx_r = 0;                                                                                      \
    __rx_probe_read_kernel(&__rx_r, sizeof(__rx_r), (const void *)&__rx_of(x)->field);                             \
    __rx_r;                                                                                                        \
  })

#ifdef RX_SYSCALL_TRACEPOINT
/*
 * The program runs on the sys_enter or sys_exit tracepoint of a system call, in place of a probe of the call's
 * function: eight bytes of common fields, the call's number, then its arguments or its result.
 */
#define __rx_call(x) ((const volatile unsigned long *)(x))
#define PT_REGS_PARM1(x) (__rx_call(x)[2])
#define PT_REGS_PARM2(x) (__rx_call(x)[3])
#define PT_REGS_PARM3(x) (__rx_call(x)[4])
#define PT_REGS_PARM4(x) (__rx_call(x)[5])
#define PT_REGS_PARM5(x) (__rx_call(x)[6])
#define PT_REGS_PARM6(x) (__rx_call(x)[7])
#define PT_REGS_RC(x) (__rx_call(x)[2])
#define PT_REGS_SYSCALL_CTX(x) (x)
#define PT_REGS_PARM4_SYSCALL(x) PT_REGS_PARM4(x)
#define __rx_syscall_parm(x, n) PT_REGS_PARM##n(x)
#else
#define PT_REGS_PARM1(x) (__rx_of(x)->__RX_P1)
#define PT_REGS_PARM2(x) (__rx_of(x)->__RX_P2)
#define PT_REGS_PARM3(x) (__rx_of(x)->__RX_P3)
#define PT_REGS_PARM4(x) (__rx_of(x)->__RX_P4)
#define PT_REGS_PARM5(x) (__rx_of(x)->__RX_P5)
#define PT_REGS_PARM6(x) (__rx_of(x)->__RX_P6)
#define PT_REGS_RC(x) (__rx_of(x)->__RX_RC)
#define PT_REGS_IP(x) (__rx_of(x)->__RX_IP)
#define PT_REGS_SP(x) (__rx_of(x)->__RX_SP)
#define PT_REGS_FP(x) (__rx_of(x)->__RX_FP)
#define PT_REGS_RET(x) PT_REGS_SP(x)
#define PT_REGS_PARM4_SYSCALL(x) (__rx_of(x)->__RX_S4)
#ifdef RX_SYSCALL_WRAPPER
/* The call's function gets one argument: the registers the caller had. */
#define PT_REGS_SYSCALL_CTX(x) ((struct pt_regs *)PT_REGS_PARM1(x))
#define __rx_syscall_reg1 __RX_P1
#define __rx_syscall_reg2 __RX_P2
#define __rx_syscall_reg3 __RX_P3
#define __rx_syscall_reg4 __RX_S4
#define __rx_syscall_reg5 __RX_P5
#define __rx_syscall_reg6 __RX_P6
#define __rx_syscall_parm(x, n) __rx_saved(PT_REGS_PARM1(x), __rx_syscall_reg##n)
#else
#define PT_REGS_SYSCALL_CTX(x) (x)
#define __rx_syscall_parm(x, n) PT_REGS_PARM##n(x)
#endif
#endif
#define PT_REGS_PARM1_SYSCALL(x) PT_REGS_PARM1(x)
#define PT_REGS_PARM2_SYSCALL(x) PT_REGS_PARM2(x)
#define PT_REGS_PARM3_SYSCALL(x) PT_REGS_PARM3(x)
#define PT_REGS_PARM5_SYSCALL(x) PT_REGS_PARM5(x)
#define PT_REGS_PARM6_SYSCALL(x) PT_REGS_PARM6(x)
#define PT_REGS_FP_SYSCALL(x) PT_REGS_FP(x)

/* A word of the stack, which is the kernel's or, at a user's function, the process's. */
#define __rx_stacked(x, slot)                                                                                      \
  ({                                                                                                               \
    unsigned long __rx_r = 0;                                                                                      \
    const void *__rx_at = (const void *)(__rx_of(x)->__RX_SP + 8 * (slot));                                        \
    if (__rx_probe_read_kernel(&__rx_r, sizeof(__rx_r), __rx_at))                                                  \
      __rx_probe_read_user(&__rx_r, sizeof(__rx_r), __rx_at);                                                      \
    __rx_r;                                                                                                        \
  })
#define __rx_parm1(x) PT_REGS_PARM1(x)
#define __rx_parm2(x) PT_REGS_PARM2(x)
#define __rx_parm3(x) PT_REGS_PARM3(x)
#define __rx_parm4(x) PT_REGS_PARM4(x)
#define __rx_parm5(x) PT_REGS_PARM5(x)
#define __rx_parm6(x) PT_REGS_PARM6(x)
#define __rx_parm9(x) __rx_stacked(x, __RX_FIRST_STACKED)
#define __rx_parm10(x) __rx_stacked(x, __RX_FIRST_STACKED + 1)
#define __rx_parm11(x) __rx_stacked(x, __RX_FIRST_STACKED + 2)
#define __rx_parm12(x) __rx_stacked(x, __RX_FIRST_STACKED + 3)
#define __rx_parm13(x) __rx_stacked(x, __RX_FIRST_STACKED + 4)
#define __rx_parm14(x) __rx_stacked(x, __RX_FIRST_STACKED + 5)
#define __rx_parm15(x) __rx_stacked(x, __RX_FIRST_STACKED + 6)
#define __rx_parm16(x) __rx_stacked(x, __RX_FIRST_STACKED + 7)

/* Parameters beyond the context, by number from 1. */
#define bcc_parm(ctx, n) __rx_parm##n(ctx)
#define bcc_syscall_parm(ctx, n) __rx_syscall_parm(ctx, n)
#define bcc_ia32_parm(ctx, n) __rx_saved(PT_REGS_PARM1(ctx), __rx_ia32_reg##n)
#define PT_REGS_SYSCALL_REGS(x) PT_REGS_SYSCALL_CTX(x)

/* The same of registers that the program cannot read directly, as libbpf's names have it. */
#define PT_REGS_PARM1_CORE(x) __rx_saved(x, __RX_P1)
#define PT_REGS_PARM2_CORE(x) __rx_saved(x, __RX_P2)
#define PT_REGS_PARM3_CORE(x) __rx_saved(x, __RX_P3)
#define PT_REGS_PARM4_CORE(x) __rx_saved(x, __RX_P4)
#define PT_REGS_PARM5_CORE(x) __rx_saved(x, __RX_P5)
#define PT_REGS_PARM6_CORE(x) __rx_saved(x, __RX_P6)
#define PT_REGS_PARM1_CORE_SYSCALL(x) PT_REGS_PARM1_CORE(x)
#define PT_REGS_PARM2_CORE_SYSCALL(x) PT_REGS_PARM2_CORE(x)
#define PT_REGS_PARM3_CORE_SYSCALL(x) PT_REGS_PARM3_CORE(x)
#define PT_REGS_PARM4_CORE_SYSCALL(x) __rx_saved(x, __RX_S4)
#define PT_REGS_PARM5_CORE_SYSCALL(x) PT_REGS_PARM5_CORE(x)
#define PT_REGS_PARM6_CORE_SYSCALL(x) PT_REGS_PARM6_CORE(x)
#define PT_REGS_RC_CORE(x) __rx_saved(x, __RX_RC)
#define PT_REGS_IP_CORE(x) __rx_saved(x, __RX_IP)
#define PT_REGS_SP_CORE(x) __rx_saved(x, __RX_SP)
#define PT_REGS_FP_CORE(x) __rx_saved(x, __RX_FP)

/* ---- arguments of USDT probes ---- */

/* A reader of the probes' arguments comes with the source; what it could not read is zero. */
static __u64 (*const __rx_attach_cookie)(void *) = (void *)174;
#define bcc_usdt_readarg(reader, n, ctx, into)                                                                     \
  ({                                                                                                               \
    __s64 __rx_a = 0;                                                                                              \
    int __rx_e = reader((void *)(ctx), n, &__rx_a);                                                                \
    *(into) = (typeof(*(into)))__rx_a;                                                                             \
    __rx_e;                                                                                                        \
  })
#define bcc_usdt_readarg_p(reader, n, ctx, into, size)                                                             \
  ({                                                                                                               \
    __s64 __rx_a = 0;                                                                                              \
    int __rx_e = reader((void *)(ctx), n, &__rx_a);                                                                \
    __rx_e ? __rx_e : (int)__rx_probe_read_user((void *)(into), size, (const void *)__rx_a);                       \
  })
#define bcc_usdt_arg_cnt(reader, ctx) __rx_count_of##reader((void *)(ctx))
#define bcc_usdt_cookie(reader, ctx) __rx_cookie_of##reader((void *)(ctx))

/* ---- tracepoint data of variable place ---- */

/* From the record's start, or from behind the field itself, as the field's type tells. */
#define __rx_data_loc(record, field)                                                                               \
  ((const void *)((__builtin_types_compatible_p(typeof((record)->data_loc_##field), enum __rx_relative)            \
                       ? (const char *)(&(record)->data_loc_##field + 1)                                           \
                       : (const char *)(record)) +                                                                 \
                  ((record)->data_loc_##field & 0xffff)))
#define bcc_data_loc_const(record, dst, field, length)                                                             \
  __rx_probe_read_kernel((void *)(dst), length, __rx_data_loc(record, field))
#define bcc_data_loc_str(record, dst, field, length)                                                               \
  __rx_probe_read_kernel_str((void *)(dst), length, __rx_data_loc(record, field))
/* As many bytes as there are, and no more than the destination has room for where the compiler knows that. */
#define bcc_data_loc(record, dst, field)                                                                           \
  ({                                                                                                               \
    void *__rx_d = (void *)(dst);                                                                                  \
    __u64 __rx_n = (__u32)(record)->data_loc_##field >> 16;                                                        \
    if (__rx_n > __builtin_object_size(__rx_d, 0))                                                                 \
      __rx_n = __builtin_object_size(__rx_d, 0);                                                                   \
    __rx_probe_read_kernel(__rx_d, __rx_n, __rx_data_loc(record, field));                                          \
  })
#define TP_DATA_LOC_READ_CONST(dst, field, length) bcc_data_loc_const(args, dst, field, length)
#define TP_DATA_LOC_READ(dst, field) bcc_data_loc(args, dst, field)
#define TP_DATA_LOC_READ_STR(dst, field, length) bcc_data_loc_str(args, dst, field, length)

/* ---- small builtins ---- */

#define lock_xadd(pointer, amount) ((void)__sync_fetch_and_add(pointer, amount))
#define CUR_CPU_IDENTIFIER __RX_CURRENT_CPU
unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long offset) asm("llvm.bpf.load.word");

static inline __attribute__((always_inline)) unsigned int __rx_log2(unsigned int v) {
  unsigned int r = (v > 0xffff) << 4;
  v >>= r;
  unsigned int shift = (v > 0xff) << 3;
  v >>= shift;
  r |= shift;
  shift = (v > 0xf) << 2;
  v >>= shift;
  r |= shift;
  shift = (v > 0x3) << 1;
  v >>= shift;
  r |= shift;
  return r | (v >> 1);
}
/* One more than the position of the highest bit; 1 for 0 as well, so that slot 0 of a histogram stays empty. */
static inline __attribute__((always_inline)) unsigned int __rx_log2l(unsigned long v) {
  unsigned int high = v >> 32;
  return high ? __rx_log2(high) + 32 + 1 : __rx_log2((unsigned int)v) + 1;
}

/* The length of a text in memory that the compiler knows the size of, as far as that goes. */
static inline __attribute__((always_inline)) unsigned long __rx_strlen(const char *text, unsigned long size) {
  unsigned long length = 0;
  while (length < size && text[length])
    length++;
  return length;
}

#define bpf_log2(v) __rx_log2(v)
#define bpf_log2l(v) __rx_log2l(v)
static inline __attribute__((always_inline)) __s64 __rx_div_s64(__s64 dividend, __s64 divisor) {
  __u64 size = (dividend < 0 ? -(__u64)dividend : dividend) / (divisor < 0 ? -(__u64)divisor : divisor);
  return (dividend < 0) != (divisor < 0) ? -size : size;
}
static inline __attribute__((always_inline)) unsigned __int128 __rx_swap128(unsigned __int128 x) {
  return (unsigned __int128)__builtin_bswap64(x) << 64 | __builtin_bswap64(x >> 64);
}

#define bpf_ntoh128(x) __rx_swap128(x)
#define bpf_hton128(x) __rx_swap128(x)
#define bpf_ntohs(x) ((__u16)__builtin_bswap16((__u16)(x)))
#define bpf_htons(x) bpf_ntohs(x)
#define bpf_ntohl(x) ((__u32)__builtin_bswap32((__u32)(x)))
#define bpf_htonl(x) bpf_ntohl(x)
#define bpf_ntohll(x) ((__u64)__builtin_bswap64((__u64)(x)))
#define bpf_htonll(x) bpf_ntohll(x)
#define memset(dst, value, size) __builtin_memset(dst, value, size)
#define memcpy(dst, src, size) __builtin_memcpy(dst, src, size)
#define memcmp(a, b, size) __builtin_memcmp(a, b, size)
#define strlen(text) (__builtin_constant_p(__builtin_strlen(text)) ? __builtin_strlen(text) : __rx_strlen(text, __builtin_object_size(text, 0)))
#define memmove(dst, src, size) __builtin_memmove(dst, src, size)

#endif
