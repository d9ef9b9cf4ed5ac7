/*
 * Fields of packets. The rewriter tells where a field lies: bits from a place in the packet, in the order of the wire.
 * Values are in the machine's order. Stands behind lower.h where a source touches packets.
 *
 * A load outside the packet ends the program with 0, as the kernel's packet loads do; a store outside does nothing.
 */
#ifndef RXBPF_PACKET_H
#define RXBPF_PACKET_H

#define __rx_inline static inline __attribute__((always_inline))

static long (*const __rx_skb_store_bytes)(void *, __u32, const void *, __u32, __u64) = (void *)9;

#define __rx_ones(n) ((n) < 64 ? (1ULL << (n)) - 1 : ~0ULL)
#define __rx_ones128(n) ((n) < 128 ? ((unsigned __int128)1 << (n)) - 1 : ~(unsigned __int128)0)

/* Up to eight bytes, never one more: what lies behind the last field of a packet cannot be loaded. */
__rx_inline __u64 __rx_packet_bytes(void *skb, __u64 at, unsigned int count) {
  __u64 value = 0;
  unsigned int done = 0;
  if (count >= 4) {
    value = load_word(skb, at);
    done = 4;
  }
  if (count == 8)
    return value << 32 | load_word(skb, at + 4);
  if (count - done >= 2) {
    value = value << 16 | load_half(skb, at + done);
    done += 2;
  }
  if (count > done)
    value = value << 8 | load_byte(skb, at + done);
  return value;
}

/* 1 to 64 bits, from bit 0 to 7 of the byte at `at`. */
__rx_inline __u64 __rx_packet_get(void *skb, __u64 at, unsigned int bit, unsigned int width) {
  unsigned int bits = bit + width;
  if (bits > 64) {
    unsigned int rest = bits - 64;
    return (__rx_packet_bytes(skb, at, 8) << rest | load_byte(skb, at + 8) >> (8 - rest)) & __rx_ones(width);
  }
  unsigned int count = (bits + 7) / 8;
  return __rx_packet_bytes(skb, at, count) >> (8 * count - bits) & __rx_ones(width);
}

/* 65 to 128 bits. */
__rx_inline unsigned __int128 __rx_packet_get128(void *skb, __u64 at, unsigned int bit, unsigned int width) {
  unsigned int low = bit + width - 64;
  unsigned __int128 high = __rx_packet_get(skb, at, bit, width - 64);
  return high << 64 | __rx_packet_get(skb, at + low / 8, low % 8, 64);
}

/* A field that lies in eight bytes: it is put together as the packet has it, with the bits around it. */
__rx_inline void __rx_packet_put8(void *skb, __u64 at, unsigned int bit, unsigned int width, __u64 value) {
  unsigned int bits = bit + width;
  unsigned int count = (bits + 7) / 8;
  unsigned int tail = 8 * count - bits;
  __u64 bytes = (value & __rx_ones(width)) << (64 - bits);
  if (count == 1 && width < 8) {
    bytes |= (load_byte(skb, at) & ~(__rx_ones(width) << tail)) << 56;
  } else {
    if (bit)
      bytes |= (load_byte(skb, at) & ~(0xffULL >> bit)) << 56;
    if (tail)
      bytes |= (load_byte(skb, at + count - 1) & __rx_ones(tail)) << (64 - 8 * count);
  }
  bytes = __builtin_bswap64(bytes);
  __rx_skb_store_bytes(skb, at, &bytes, count, 0);
}

__rx_inline void __rx_packet_put(void *skb, __u64 at, unsigned int bit, unsigned int width, __u64 value) {
  if (bit + width > 64) {
    unsigned int rest = bit + width - 8;
    __rx_packet_put8(skb, at, bit, 8 - bit, value >> rest);
    __rx_packet_put8(skb, at + 1, 0, rest, value);
  } else {
    __rx_packet_put8(skb, at, bit, width, value);
  }
}

__rx_inline void __rx_packet_put128(void *skb, __u64 at, unsigned int bit, unsigned int width,
                                    unsigned __int128 value) {
  unsigned int low = bit + width - 64;
  __rx_packet_put(skb, at, bit, width - 64, value >> 64);
  __rx_packet_put(skb, at + low / 8, low % 8, 64, value);
}

/* ---- what the rewriter writes: `at` in bytes, `bit` and `width` constants ---- */

#define __rx_packet_load(skb, at, bit, width)                                                                      \
  __builtin_choose_expr((width) > 64,                                                                              \
                        __rx_packet_get128((void *)(skb), (at) + (bit) / 8, (bit) % 8, (width) > 64 ? width : 65), \
                        __rx_packet_get((void *)(skb), (at) + (bit) / 8, (bit) % 8, (width) > 64 ? 64 : width))
#define __rx_packet_type(width) __typeof__(__builtin_choose_expr((width) > 64, (unsigned __int128)0, (__u64)0))
#define __rx_packet_write(skb, at, bit, width, value)                                                              \
  __builtin_choose_expr(                                                                                           \
      (width) > 64,                                                                                                \
      __rx_packet_put128((void *)(skb), (at) + (bit) / 8, (bit) % 8, (width) > 64 ? width : 65, value),            \
      __rx_packet_put((void *)(skb), (at) + (bit) / 8, (bit) % 8, (width) > 64 ? 64 : width, value))
/* The value that the field has now, as an assignment in C has. */
#define __rx_packet_kept(width, value)                                                                             \
  ((__rx_packet_type(width))((value) & __rx_ones128(width)))
#define __rx_packet_store(skb, place, bit, width, value)                                                           \
  ({                                                                                                               \
    __rx_packet_type(width) __rx_new = value;                                                                      \
    __u64 __rx_at = place;                                                                                         \
    __rx_packet_write(skb, __rx_at, bit, width, __rx_new);                                                         \
    __rx_packet_kept(width, __rx_new);                                                                             \
  })
#define __rx_packet_update(skb, place, bit, width, operator, amount)                                               \
  ({                                                                                                               \
    __u64 __rx_at = place;                                                                                         \
    __rx_packet_type(width) __rx_new = __rx_packet_load(skb, __rx_at, bit, width) operator amount;                 \
    __rx_packet_write(skb, __rx_at, bit, width, __rx_new);                                                         \
    __rx_packet_kept(width, __rx_new);                                                                             \
  })
#define __rx_packet_step(skb, place, bit, width, operator)                                                         \
  ({                                                                                                               \
    __u64 __rx_at = place;                                                                                         \
    __rx_packet_type(width) __rx_old = __rx_packet_load(skb, __rx_at, bit, width);                                 \
    __rx_packet_write(skb, __rx_at, bit, width, __rx_old operator 1);                                              \
    __rx_old;                                                                                                      \
  })

/* ---- for sources: bits are counted from the left, as on the wire ---- */

#define MASK(n) __rx_ones(n)
#define MASK128(n) __rx_ones128(n)
#define load_dword(skb, offset) __rx_packet_bytes(skb, offset, 8)
#define bpf_dext_pkt(skb, offset, bit, width) __rx_packet_get((void *)(skb), offset, bit, width)
#define bpf_dins_pkt(skb, offset, bit, width, value) __rx_packet_put((void *)(skb), offset, bit, width, value)
#define bpf_store_byte(skb, offset, value) __rx_packet_put8(skb, offset, 0, 8, value)
#define bpf_store_half(skb, offset, value) __rx_packet_put8(skb, offset, 0, 16, value)
#define bpf_store_word(skb, offset, value) __rx_packet_put8(skb, offset, 0, 32, value)
#define bpf_store_dword(skb, offset, value) __rx_packet_put8(skb, offset, 0, 64, value)

/*
 * The kernel takes values of two bytes or four, which give the same checksum for a value that fits both. Values of
 * fields are 64 bits wide here and go as four bytes; anything else is the kernel's to refuse.
 */
#define __rx_cksum_size(value) (sizeof(value) == 8 ? 4 : sizeof(value))
#define __rx_cksum_order(size, value) ((size) == 2 ? __builtin_bswap16(value) : __builtin_bswap32(value))
#define __rx_cksum_l3(skb, offset, old, new)                                                                       \
  __rx_l3_csum_replace((void *)(skb), (__u64)(offset), __rx_cksum_order(__rx_cksum_size(new), old),                \
                       __rx_cksum_order(__rx_cksum_size(new), new), __rx_cksum_size(new))
#define __rx_cksum_l4(skb, offset, old, new, pseudo)                                                               \
  __rx_l4_csum_replace((void *)(skb), (__u64)(offset), __rx_cksum_order(__rx_cksum_size(new), old),                \
                       __rx_cksum_order(__rx_cksum_size(new), new), ((pseudo) & 1) << 4 | __rx_cksum_size(new))

#endif
