import { i32, struct, u8, u16, u32 } from "../core/layout.ts";

/** `struct nlmsghdr` (linux/netlink.h), before every message. */
export const nlmsghdr = struct("nlmsghdr", {
  nlmsg_len: u32,
  nlmsg_type: u16,
  nlmsg_flags: u16,
  nlmsg_seq: u32,
  nlmsg_pid: u32,
});

/** `struct nlattr` (linux/netlink.h), before every attribute; the length counts it. */
export const nlattr = struct("nlattr", { nla_len: u16, nla_type: u16 });

/** `struct sockaddr_nl` (linux/netlink.h). */
export const sockaddrNl = struct("sockaddr_nl", { nl_family: u16, nl_pad: u16, nl_pid: u32, nl_groups: u32 });

/** `struct ifinfomsg` (linux/rtnetlink.h). */
export const ifinfomsg = struct("ifinfomsg", {
  ifi_family: u8,
  ifi_pad: u8,
  ifi_type: u16,
  ifi_index: i32,
  ifi_flags: u32,
  ifi_change: u32,
});

/** `struct tcmsg` (linux/rtnetlink.h). For a filter `tcm_info` is its priority, and its protocol in network order. */
export const tcmsg = struct("tcmsg", {
  tcm_family: u8,
  tcm_pad1: u8,
  tcm_pad2: u16,
  tcm_ifindex: i32,
  tcm_handle: u32,
  tcm_parent: u32,
  tcm_info: u32,
});

/** Protocols of AF_NETLINK. */
export const NETLINK_ROUTE = 0;
export const NETLINK_KOBJECT_UEVENT = 15;

/** Answers that the kernel gives besides data; an error's number 0 is success. */
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** Sends the requester what it changed. */
export const NLM_F_ECHO = 0x8;
/** All entries instead of one. */
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** Flag of an error's answer: attributes follow behind it. */
export const NLM_F_ACK_TLVS = 0x200;

/** Level and options of a netlink socket: the kernel's own words with an error, without the request. */
export const SOL_NETLINK = 270;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
/** The attribute with those words. */
export const NLMSGERR_ATTR_MSG = 1;

/** Bits of an attribute's type that do not belong to it: nested, and byte order. */
export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

export const RTM_NEWLINK = 16;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

/** Attributes of a device (linux/if_link.h), and of what is nested in it. */
export const IFLA_XDP = 43;
export const IFLA_XDP_FD = 1;
export const IFLA_XDP_ATTACHED = 2;
export const IFLA_XDP_FLAGS = 3;
export const IFLA_XDP_PROG_ID = 4;
export const IFLA_XDP_EXPECTED_FD = 8;

/** Attributes of a queueing discipline or filter (linux/rtnetlink.h), and those of a BPF filter (linux/pkt_cls.h). */
export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_BPF_FD = 6;
export const TCA_BPF_NAME = 7;
export const TCA_BPF_FLAGS = 8;
/** The program's result is the verdict. */
export const TCA_BPF_FLAG_ACT_DIRECT = 1;

/** Places of a clsact discipline (linux/pkt_sched.h). */
export const TC_H_CLSACT = 0xfffffff1;
export const TC_H_CLSACT_HANDLE = 0xffff0000;
export const TC_H_INGRESS_FILTERS = 0xfffffff2;
export const TC_H_EGRESS_FILTERS = 0xfffffff3;
