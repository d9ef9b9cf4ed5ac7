import { AttachError, UnsupportedError, UsageError } from "../../core/errors.ts";
import type { Scope } from "../../core/scope.ts";
import { attachTypes } from "../../programs/attach-types.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { bpf, errnoOf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { NetlinkFailure, RouteSocket } from "../../sys/netlink.ts";
import { linkCreate, linkUpdate } from "../../uapi/bpf-attr.ts";
import {
  BPF_F_REPLACE,
  XDP_FLAGS_HW_MODE,
  XDP_FLAGS_MODES,
  XDP_FLAGS_REPLACE,
  XDP_FLAGS_UPDATE_IF_NOEXIST,
} from "../../uapi/constants.ts";
import { supports } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { isPermission, missingPrivilege } from "../permission.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";
import { deviceIndex, findDevice, nearDevices } from "./device.ts";
import { LastingLink } from "./lasting-link.ts";
import { setXdp, unsetXdp, xdpModesOf } from "./xdp-netlink.ts";

type Target = Extract<AttachTarget, { hook: "xdp" }>;

/** What this process has attached: XDP_FLAGS_REPLACE finds there what it takes the place of. */
const attached = new Set<XdpLink>();

/** A link that was made in one of the two ways. */
interface XdpLink extends Link {
  readonly index: number;
  /** Runs another program in this one's place, without a packet passing between; this link counts as closed then. */
  replace(program: KernelProgram, target: Target): Link;
}

/** Through a BPF link, which the kernel takes off when its last descriptor is closed. Since Linux 5.9. */
class BpfXdpLink extends KernelLink implements XdpLink {
  readonly index: number;
  readonly #fd: Fd;

  constructor(
    program: KernelProgram,
    target: Target,
    parts: Scope,
    place: { readonly index: number; readonly fd: Fd },
  ) {
    super(program, target, parts);
    this.index = place.index;
    this.#fd = place.fd;
    attached.add(this);
  }

  replace(program: KernelProgram, target: Target): Link {
    return buildLink(`XDP on ${target.device}`, (parts) => {
      bpf("BPF_LINK_UPDATE", linkUpdate, {
        link_fd: this.#fd.number,
        new_prog_fd: program.fd,
        flags: BPF_F_REPLACE,
        old_prog_fd: this.program.fd,
      });
      attached.delete(this);
      this.handOver(parts);
      return new BpfXdpLink(program, target, parts, { index: this.index, fd: this.#fd });
    });
  }

  override [Symbol.dispose](): void {
    attached.delete(this);
    super[Symbol.dispose]();
  }
}

/** Where a program was attached through netlink. */
interface NetlinkPlace {
  readonly index: number;
  readonly socket: RouteSocket;
  /** Another program took the place: there is nothing to take off. */
  isReplaced: boolean;
}

/** Through netlink, in the network namespace in which it was attached. */
class NetlinkXdpLink extends LastingLink implements XdpLink {
  readonly #place: NetlinkPlace;

  constructor(program: KernelProgram, target: Target, parts: Scope, place: NetlinkPlace) {
    super(program, target, parts);
    this.#place = place;
    attached.add(this);
  }

  get index(): number {
    return this.#place.index;
  }

  replace(program: KernelProgram, target: Target): Link {
    const link = attachByNetlink(program, target, this.index);
    this.#place.isReplaced = true;
    this[Symbol.dispose]();
    return link;
  }

  override [Symbol.dispose](): void {
    attached.delete(this);
    super[Symbol.dispose]();
  }
}

/**
 * Runs a program on every packet a device receives, in this process's network namespace. Through a link since Linux
 * 5.9, which ends with the process whatever happens; else, or when asked, through netlink, since 4.8.
 *
 * Neither replaces a program that is there, except one that is named as expected (XDP_FLAGS_REPLACE).
 *
 * @throws AttachError for an unknown device, one that has a program already, or a mode the driver lacks
 */
export function attachXdp(program: KernelProgram, target: Target): Link {
  const { flags, expected } = target;
  checkFlags(flags, expected);
  const index = deviceIndex(program, target, target.device);
  try {
    if (expected === undefined) {
      return mayLink(target) ? attachByLink(program, target, index) : attachByNetlink(program, target, index);
    }
    const before = [...attached].find((link) => link.index === index && link.program.fd === expected);
    return before === undefined ? attachByNetlink(program, target, index) : before.replace(program, target);
  } catch (error) {
    throw explain(program, target, error);
  }
}

function checkFlags(flags: number, expected: number | undefined): void {
  const allowed = XDP_FLAGS_MODES | XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_REPLACE;
  if ((flags & ~allowed) !== 0) {
    throw new UsageError(`there are no XDP flags 0x${(flags & ~allowed).toString(16)}`, {
      hint: "use one of XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE",
    });
  }
  if (((flags & XDP_FLAGS_REPLACE) !== 0) !== (expected !== undefined)) {
    throw new UsageError(
      "replacing an XDP program takes both XDP_FLAGS_REPLACE and the program that is expected",
      {
        hint: "attach_xdp(dev, next, BPF.XDP_FLAGS_REPLACE, { expected: previous })",
      },
    );
  }
}

function mayLink({ through }: Target): boolean {
  return through === undefined ? supports("xdp_link").state !== "no" : through === "link";
}

function attachByLink(program: KernelProgram, target: Target, index: number): Link {
  const label = `XDP on ${target.device}`;
  return buildLink(label, (parts) => {
    const number = bpf("BPF_LINK_CREATE", linkCreate, {
      prog_fd: program.fd,
      target: index,
      attach_type: attachTypes.xdp.type,
      flags: target.flags & XDP_FLAGS_MODES,
    });
    const fd = parts.own(new Fd(number, label));
    return new BpfXdpLink(program, target, parts, { index, fd });
  });
}

function attachByNetlink(program: KernelProgram, target: Target, index: number): Link {
  const { expected: expectedFd } = target;
  return buildLink(`XDP on ${target.device}`, (parts) => {
    const socket = parts.own(new RouteSocket());
    const modes = target.flags & XDP_FLAGS_MODES;
    const flags = modes | (expectedFd === undefined ? XDP_FLAGS_UPDATE_IF_NOEXIST : XDP_FLAGS_REPLACE);
    const programFd = program.fd;
    setXdp(socket, { index, programFd, flags, expectedFd });
    const place = { index, socket, isReplaced: false };
    parts.defer(() => {
      if (!place.isReplaced) unsetXdp(socket, index, programFd, modes);
    });
    return new NetlinkXdpLink(program, target, parts, place);
  });
}

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  const words = cause instanceof NetlinkFailure && cause.words !== "" ? cause.words : undefined;
  const replaces = target.expected !== undefined;
  if ((target.flags & XDP_FLAGS_HW_MODE) !== 0 && ["EINVAL", "EOPNOTSUPP"].includes(errnoOf(cause) ?? "")) {
    return new UnsupportedError(
      `cannot attach "${program.spec.name}" to ${target.device} in hardware mode: it takes a program that the device's driver has translated`,
      { hint: "use driver mode (XDP_FLAGS_DRV_MODE), or leave the mode out", cause },
    );
  }
  return explainAttach({ program, target, capability: "CAP_BPF and CAP_NET_ADMIN" }, cause, {
    EBUSY: words ?? "the device has an XDP program already",
    EEXIST: replaces
      ? "the device's program is not the one expected"
      : "the device has an XDP program already, or one in another mode",
    EOPNOTSUPP: words ?? "the device's driver does not have this mode",
    EINVAL: words ?? `the program is a ${program.kind} program, or the modes exclude each other`,
  });
}

/**
 * Takes whatever XDP program a device has off, whoever attached it.
 *
 * @param flags the mode to take it off from; 0 for all that have one
 * @returns false when the device has none
 * @throws AttachError for an unknown device, and for a program that a link of somebody else holds
 */
export function evictXdp(device: string, flags: number): boolean {
  const index = findDevice(device);
  if (index === undefined) {
    throw new AttachError(`cannot remove XDP from ${device}: no such device`, { hint: nearDevices(device) });
  }
  const socket = new RouteSocket();
  try {
    const modes = xdpModesOf(socket, index).filter((mode) => flags === 0 || (flags & mode) !== 0);
    for (const mode of modes) setXdp(socket, { index, programFd: -1, flags: mode });
    return modes.length > 0;
  } catch (cause) {
    throw explainEviction(device, cause);
  } finally {
    socket[Symbol.dispose]();
  }
}

function explainEviction(device: string, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  if (isPermission(errno)) return missingPrivilege(`removing XDP from ${device}`, "CAP_NET_ADMIN", cause);
  const why = errno === "EBUSY" ? `another process's link holds the program (${errno})` : errno;
  return new AttachError(`cannot remove XDP from ${device}: ${why}`, {
    hint: errno === "EBUSY" ? 'end that process; "bpftool link" tells which it is' : undefined,
    cause,
  });
}
