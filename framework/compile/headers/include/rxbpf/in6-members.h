/* The kernel's names for the three views of an IPv6 address, as in linux/in6.h. */
#ifndef RXBPF_IN6_MEMBERS_H
#define RXBPF_IN6_MEMBERS_H

#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32

#endif
