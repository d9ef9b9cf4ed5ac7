/*
 * Inline functions and macros of kernel headers that sources call. Macros, so that the loads in them are the source's own
 * and become reads of kernel memory where they must. A source that defines one of these names itself gets none of ours.
 */
#ifndef RXBPF_INLINES_H
#define RXBPF_INLINES_H

/* ---- sockets ---- */

#define inet_sk(sk) ((struct inet_sock *)(sk))
#define tcp_sk(sk) ((struct tcp_sock *)(sk))
#define udp_sk(sk) ((struct udp_sock *)(sk))
#define unix_sk(sk) ((struct unix_sock *)(sk))
#define raw_sk(sk) ((struct raw_sock *)(sk))
#define inet_csk(sk) ((struct inet_connection_sock *)(sk))
#define inet_twsk(sk) ((struct inet_timewait_sock *)(sk))
#define inet_rsk(request) ((struct inet_request_sock *)(request))
#define tcp_rsk(request) ((struct tcp_request_sock *)(request))
#define inet_reqsk(sk) ((struct request_sock *)(sk))
#define inet6_sk(sk) (((struct inet_sock *)(sk))->pinet6)
#define sk_fullsock(sk) (1 << (sk)->__sk_common.skc_state & ~(1 << 6 | 1 << 12))
#define sock_net(sk) ((sk)->__sk_common.skc_net.net)
#define dev_net(device) ((device)->nd_net.net)
#define read_pnet(place) ((place)->net)
#define ipv6_addr_any(address)                                                                                     \
  (((address)->in6_u.u6_addr32[0] | (address)->in6_u.u6_addr32[1] | (address)->in6_u.u6_addr32[2] |                \
    (address)->in6_u.u6_addr32[3]) == 0)
#define ipv6_addr_v4mapped(address)                                                                                \
  ((address)->in6_u.u6_addr32[0] == 0 && (address)->in6_u.u6_addr32[1] == 0 &&                                     \
   (address)->in6_u.u6_addr32[2] == __builtin_bswap32(0xffff))

/* ---- socket buffers ---- */

#define skb_network_header(skb) ((skb)->head + (skb)->network_header)
#define skb_transport_header(skb) ((skb)->head + (skb)->transport_header)
#define skb_mac_header(skb) ((skb)->head + (skb)->mac_header)
#define skb_inner_network_header(skb) ((skb)->head + (skb)->inner_network_header)
#define skb_inner_transport_header(skb) ((skb)->head + (skb)->inner_transport_header)
#define skb_inner_mac_header(skb) ((skb)->head + (skb)->inner_mac_header)
#define skb_network_offset(skb) ((int)(skb_network_header(skb) - (skb)->data))
#define skb_transport_offset(skb) ((int)(skb_transport_header(skb) - (skb)->data))
#define skb_mac_offset(skb) ((int)(skb_mac_header(skb) - (skb)->data))
#define skb_network_header_len(skb) ((skb)->transport_header - (skb)->network_header)
#define skb_mac_header_was_set(skb) ((skb)->mac_header != (unsigned short)~0U)
#define skb_transport_header_was_set(skb) ((skb)->transport_header != (unsigned short)~0U)
#define skb_headlen(skb) ((skb)->len - (skb)->data_len)
#define skb_is_nonlinear(skb) ((skb)->data_len != 0)
#define skb_headroom(skb) ((unsigned int)((skb)->data - (skb)->head))
#define skb_end_pointer(skb) ((skb)->head + (skb)->end)
#define skb_tail_pointer(skb) ((skb)->head + (skb)->tail)
#define skb_shinfo(skb) ((struct skb_shared_info *)skb_end_pointer(skb))
#define skb_is_gso(skb) (skb_shinfo(skb)->gso_size)
#define skb_dst(skb) ((struct dst_entry *)((skb)->_skb_refdst & ~1UL))
#define skb_vlan_tag_get(skb) ((skb)->vlan_tci)
#define skb_vlan_tag_get_id(skb) ((skb)->vlan_tci & 0xfff)
#define skb_get_queue_mapping(skb) ((skb)->queue_mapping)
#define skb_rx_queue_recorded(skb) ((skb)->queue_mapping != 0)
#define skb_get_rx_queue(skb) ((skb)->queue_mapping - 1)
#define skb_get_nfct(skb) ((skb)->_nfct)
#define eth_hdr(skb) ((struct ethhdr *)skb_mac_header(skb))
#define ip_hdr(skb) ((struct iphdr *)skb_network_header(skb))
#define ipv6_hdr(skb) ((struct ipv6hdr *)skb_network_header(skb))
#define arp_hdr(skb) ((struct arphdr *)skb_network_header(skb))
#define tcp_hdr(skb) ((struct tcphdr *)skb_transport_header(skb))
#define udp_hdr(skb) ((struct udphdr *)skb_transport_header(skb))
#define icmp_hdr(skb) ((struct icmphdr *)skb_transport_header(skb))
#define icmp6_hdr(skb) ((struct icmp6hdr *)skb_transport_header(skb))
#define inner_ip_hdr(skb) ((struct iphdr *)skb_inner_network_header(skb))
#define inner_tcp_hdr(skb) ((struct tcphdr *)skb_inner_transport_header(skb))
#define ip_hdrlen(skb) (ip_hdr(skb)->ihl * 4)
#define tcp_hdrlen(skb) (tcp_hdr(skb)->doff * 4)
#define tcp_flag_byte(header) (((unsigned char *)(header))[13])
#define tcp_flag_word(header) (((unsigned int *)(header))[3])

/* ---- block requests ---- */

#define op_is_write(op) (((op) & 1) != 0)
#define req_op(request) ((request)->cmd_flags & ((1U << 8) - 1))
#define rq_data_dir(request) (req_op(request) & 1)
#define bio_op(bio) ((bio)->bi_opf & ((1U << 8) - 1))
#define bio_data_dir(bio) (bio_op(bio) & 1)
#define blk_rq_pos(request) ((request)->__sector)
#define blk_rq_bytes(request) ((request)->__data_len)
#define blk_rq_sectors(request) ((request)->__data_len >> 9)
#define disk_devt(disk) ((unsigned int)((disk)->major << 20 | (disk)->first_minor))
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 12, 0)
#define bio_dev(bio) disk_devt((bio)->bi_bdev->bd_disk)
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(4, 14, 0)
#define bio_dev(bio) disk_devt((bio)->bi_disk)
#endif

/* ---- files ---- */

#define file_inode(file) ((file)->f_inode)
#define file_dentry(file) ((file)->f_path.dentry)
#define d_inode(dentry) ((dentry)->d_inode)
#define d_backing_inode(dentry) ((dentry)->d_inode)
#define d_real_inode(dentry) ((dentry)->d_inode)
#define i_size_read(inode) ((inode)->i_size)
#define i_uid_read(inode) ((inode)->i_uid.val)
#define i_gid_read(inode) ((inode)->i_gid.val)
#define imajor(inode) ((inode)->i_rdev >> 20)
#define iminor(inode) ((inode)->i_rdev & 0xfffff)
#define __kuid_val(uid) ((uid).val)
#define __kgid_val(gid) ((gid).val)
#define from_kuid(namespace, uid) ((uid).val)
#define from_kgid(namespace, gid) ((gid).val)

/* ---- tasks ---- */

#define task_pid_nr(task) ((task)->pid)
#define task_tgid_nr(task) ((task)->tgid)
#define is_global_init(task) ((task)->tgid == 1)
#define thread_group_leader(task) ((task)->exit_signal >= 0)
#define task_on_cpu(task) ((task)->on_cpu)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
#define task_cpu(task) ((task)->thread_info.cpu)
#else
#define task_cpu(task) ((task)->cpu)
#endif
#define task_nice(task) ((task)->static_prio - 120)
#define user_mode(regs) __rx_user_mode(regs)
#define regs_return_value(regs) PT_REGS_RC(regs)
#define instruction_pointer(regs) PT_REGS_IP(regs)
#define kernel_stack_pointer(regs) PT_REGS_SP(regs)
#define user_stack_pointer(regs) PT_REGS_SP(regs)

/* ---- pages and scatter lists ---- */

#define sg_is_chain(sg) ((sg)->page_link & 1UL)
#define sg_is_last(sg) ((sg)->page_link & 2UL)
#define sg_chain_ptr(sg) ((struct scatterlist *)((sg)->page_link & ~3UL))
#define sg_page(sg) ((struct page *)((sg)->page_link & ~3UL))
#define sg_dma_len(sg) ((sg)->length)
#define folio_page(folio, n) (&(folio)->page + (n))
#define nth_page(page, n) ((page) + (n))
#define PFN_UP(address) (((address) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(address) ((address) >> PAGE_SHIFT)
#define PFN_PHYS(frame) ((unsigned long long)(frame) << PAGE_SHIFT)
#define PHYS_PFN(address) ((unsigned long)((address) >> PAGE_SHIFT))
#define offset_in_page(address) ((unsigned long)(address) & (PAGE_SIZE - 1))

/* ---- lists and trees ---- */

#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_first_entry(head, type, member) container_of((head)->next, type, member)
#define list_last_entry(head, type, member) container_of((head)->prev, type, member)
#define list_next_entry(entry, type, member) container_of((entry)->member.next, type, member)
#define list_empty(head) ((head)->next == (head))
#define hlist_entry(pointer, type, member) container_of(pointer, type, member)
#define hlist_empty(head) ((head)->first == 0)
#define rb_entry(pointer, type, member) container_of(pointer, type, member)
#define llist_entry(pointer, type, member) container_of(pointer, type, member)

/* ---- counters and time ---- */

#define atomic_read(v) ((v)->counter)
#define atomic64_read(v) ((v)->counter)
#define atomic_long_read(v) ((v)->counter)
#define refcount_read(r) ((r)->refs.counter)
#define kref_read(k) ((k)->refcount.refs.counter)
#define page_count(page) ((page)->_refcount.counter)
#define test_bit(n, words) (((words)[(n) / 64] >> ((n) % 64)) & 1)

#define ktime_to_ns(time) (time)
#define ns_to_ktime(ns) (ns)
#define ktime_to_us(time) ((time) / 1000)
#define ktime_to_ms(time) ((time) / 1000000)
#define ms_to_ktime(ms) ((ms) * 1000000LL)
#define ktime_add(a, b) ((a) + (b))
#define ktime_sub(a, b) ((a) - (b))
#define ktime_add_ns(time, ns) ((time) + (ns))
#define ktime_sub_ns(time, ns) ((time) - (ns))
#define ktime_set(seconds, ns) ((seconds) * 1000000000LL + (ns))
#define ktime_us_delta(later, earlier) (((later) - (earlier)) / 1000)
#define ktime_ms_delta(later, earlier) (((later) - (earlier)) / 1000000)
#define timespec64_to_ns(time) ((time)->tv_sec * 1000000000LL + (time)->tv_nsec)
#define jiffies_to_msecs(ticks) ((unsigned int)((unsigned long long)(ticks) * 1000 / HZ))
#define jiffies_to_usecs(ticks) ((unsigned int)((unsigned long long)(ticks) * 1000000 / HZ))
#define jiffies_to_nsecs(ticks) ((unsigned long long)(ticks) * 1000000000 / HZ)
#define jiffies64_to_nsecs(ticks) jiffies_to_nsecs(ticks)
#define jiffies64_to_msecs(ticks) ((unsigned long long)(ticks) * 1000 / HZ)
#define jiffies_64_to_clock_t(ticks) ((unsigned long long)(ticks) * 100 / HZ)
#define jiffies_to_clock_t(ticks) jiffies_64_to_clock_t(ticks)
#define nsec_to_clock_t(ns) ((unsigned long long)(ns) / 10000000)
#define msecs_to_jiffies(ms) ((unsigned long)(((unsigned long long)(ms) * HZ + 999) / 1000))
#define usecs_to_jiffies(us) ((unsigned long)(((unsigned long long)(us) * HZ + 999999) / 1000000))
#define nsecs_to_jiffies(ns) ((unsigned long)((unsigned long long)(ns) / (1000000000 / HZ)))
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) ((long)((a) - (b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)
#define time_after64(a, b) ((long long)((b) - (a)) < 0)
#define time_before64(a, b) time_after64(b, a)

/* ---- arithmetic ---- */

#define div_u64(dividend, divisor) ((unsigned long long)(dividend) / (unsigned int)(divisor))
#define div64_u64(dividend, divisor) ((unsigned long long)(dividend) / (unsigned long long)(divisor))
#define div64_ul(dividend, divisor) ((unsigned long long)(dividend) / (unsigned long)(divisor))
/* BPF divides signed numbers from v4 on: the sign is put back. */
#define div_s64(dividend, divisor) __rx_div_s64(dividend, (int)(divisor))
#define div64_s64(dividend, divisor) __rx_div_s64(dividend, divisor)
#define do_div(number, divisor)                                                                                    \
  ({                                                                                                               \
    unsigned int __rx_by = (divisor);                                                                              \
    unsigned int __rx_rest = (unsigned long long)(number) % __rx_by;                                               \
    (number) = (unsigned long long)(number) / __rx_by;                                                             \
    __rx_rest;                                                                                                     \
  })
#define is_power_of_2(n) ((n) != 0 && ((n) & ((n) - 1)) == 0)
#define rounddown_pow_of_two(n) (1UL << ilog2(n))
#define order_base_2(n) ((n) > 1 ? ilog2((n) - 1) + 1 : 0)
#define fls(n) ((int)((n) ? __rx_log2l((unsigned int)(n)) : 0))
#define fls64(n) ((int)((n) ? __rx_log2l(n) : 0))
#define __fls(n) ((unsigned long)__rx_log2l(n) - 1)
#define ffs(n) ((int)((n) ? __rx_log2l((unsigned int)(n) & -(unsigned int)(n)) : 0))
#define __ffs(n) ((unsigned long)__rx_log2l((n) & -(unsigned long)(n)) - 1)
#define rol32(word, n) ((unsigned int)(word) << ((n) & 31) | (unsigned int)(word) >> (-(n) & 31))
#define ror32(word, n) ((unsigned int)(word) >> ((n) & 31) | (unsigned int)(word) << (-(n) & 31))
#define rol64(word, n) ((unsigned long long)(word) << ((n) & 63) | (unsigned long long)(word) >> (-(n) & 63))
#define ror64(word, n) ((unsigned long long)(word) >> ((n) & 63) | (unsigned long long)(word) << (-(n) & 63))
#define hash_32(value, bits) ((unsigned int)(value) * 0x61c88647U >> (32 - (bits)))
#define hash_64(value, bits) ((unsigned int)((unsigned long long)(value) * 0x61c8864680b583ebULL >> (64 - (bits))))
#define hash_long(value, bits) hash_64(value, bits)
#define hash_ptr(pointer, bits) hash_64((unsigned long)(pointer), bits)

/* ---- bytes ---- */

#define __rx_byte(p, n) ((unsigned long long)((const unsigned char *)(p))[n])
#define get_unaligned(pointer) (*(pointer))
#define get_unaligned_be16(p) ((unsigned short)(__rx_byte(p, 0) << 8 | __rx_byte(p, 1)))
#define get_unaligned_le16(p) ((unsigned short)(__rx_byte(p, 1) << 8 | __rx_byte(p, 0)))
#define get_unaligned_be32(p)                                                                                      \
  ((unsigned int)(__rx_byte(p, 0) << 24 | __rx_byte(p, 1) << 16 | __rx_byte(p, 2) << 8 | __rx_byte(p, 3)))
#define get_unaligned_le32(p)                                                                                      \
  ((unsigned int)(__rx_byte(p, 3) << 24 | __rx_byte(p, 2) << 16 | __rx_byte(p, 1) << 8 | __rx_byte(p, 0)))
#define get_unaligned_be64(p)                                                                                      \
  ((unsigned long long)get_unaligned_be32(p) << 32 | get_unaligned_be32((const unsigned char *)(p) + 4))
#define get_unaligned_le64(p)                                                                                      \
  ((unsigned long long)get_unaligned_le32((const unsigned char *)(p) + 4) << 32 | get_unaligned_le32(p))

#endif
