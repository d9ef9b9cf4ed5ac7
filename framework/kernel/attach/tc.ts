import { UsageError } from "../../core/errors.ts";
import type { Scope } from "../../core/scope.ts";
import { attachTypes } from "../../programs/attach-types.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link } from "../../runtime/types.ts";
import { bpf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { NetlinkFailure, RouteSocket } from "../../sys/netlink.ts";
import { linkCreateTcx } from "../../uapi/bpf-attr.ts";
import { BPF_F_BEFORE, BPF_F_LINK } from "../../uapi/constants.ts";
import { supports } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";
import { deviceIndex } from "./device.ts";
import { LastingLink } from "./lasting-link.ts";
import { isOrphan, ownerMark } from "./owner.ts";
import { addDiscipline, addFilter, filtersOf, removeDiscipline, removeFilter } from "./tc-netlink.ts";

type Target = Extract<AttachTarget, { hook: "tc" }>;

const LARGEST_PRIORITY = 0xffff;

/**
 * Runs a program on every packet that a device receives or sends, in this process's network namespace. Through a tcx
 * link since Linux 6.6, which ends with the process whatever happens; else, or when asked, as a filter of a clsact
 * discipline, since 4.5.
 *
 * @throws AttachError for an unknown device
 */
export function attachTc(program: KernelProgram, target: Target): Link {
  const { priority } = target;
  if (!Number.isInteger(priority) || priority < 0 || priority > LARGEST_PRIORITY) {
    throw new UsageError(`a tc priority is a whole number up to ${LARGEST_PRIORITY}, not ${priority}`);
  }
  const index = deviceIndex(program, target, target.device);
  const mayLink =
    target.through === undefined ? supports("tcx_link").state !== "no" : target.through === "link";
  try {
    return mayLink ? attachByLink(program, target, index) : attachByNetlink(program, target, index);
  } catch (error) {
    throw explain(program, target, error);
  }
}

/** This process's tcx links: where one with a priority belongs among them. */
const attached = new Set<TcxLink>();

/** A program on a device, through a BPF link. */
class TcxLink extends KernelLink {
  declare readonly target: Target;
  readonly index: number;
  readonly fd: Fd;

  constructor(
    program: KernelProgram,
    target: Target,
    parts: Scope,
    place: { readonly index: number; readonly fd: Fd },
  ) {
    super(program, target, parts);
    this.index = place.index;
    this.fd = place.fd;
    attached.add(this);
  }

  override [Symbol.dispose](): void {
    attached.delete(this);
    super[Symbol.dispose]();
  }
}

function attachByLink(program: KernelProgram, target: Target, index: number): Link {
  const label = `tc ${target.direction} of ${target.device}`;
  const next = successor(target, index);
  return buildLink(label, (parts) => {
    const number = bpf("BPF_LINK_CREATE", linkCreateTcx, {
      prog_fd: program.fd,
      target: index,
      attach_type: attachTypes[`tcx_${target.direction}`].type,
      ...(next === undefined ? {} : { flags: BPF_F_BEFORE | BPF_F_LINK, relative: next.fd.number }),
    });
    const fd = parts.own(new Fd(number, label));
    return new TcxLink(program, target, parts, { index, fd });
  });
}

/** The first of this process's links that a new one goes before. The kernel knows an order, and no numbers. */
function successor({ direction, priority }: Target, index: number): TcxLink | undefined {
  if (priority === 0) return undefined;
  const rank = ({ target }: TcxLink): number => target.priority || LARGEST_PRIORITY + 1;
  const later = [...attached].filter(
    (link) => link.index === index && link.target.direction === direction && rank(link) > priority,
  );
  return later.sort((left, right) => rank(left) - rank(right))[0];
}

/** How names of our filters begin. */
const OURS = "rxbpf:";

function attachByNetlink(program: KernelProgram, target: Target, index: number): Link {
  const { device, direction, priority } = target;
  return buildLink(`tc ${direction} of ${device}`, (parts) => {
    const socket = parts.own(new RouteSocket());
    addDiscipline(socket, index);
    parts.defer(() => removeDiscipline(socket, index));
    removeOrphans(socket, target, index);
    const name = `${OURS}${ownerMark()}:${program.spec.name}`;
    const filter = addFilter(socket, { index, direction, programFd: program.fd, priority, name });
    parts.defer(() => removeFilter(socket, filter));
    return new LastingLink(program, target, parts);
  });
}

/** Removes the filters that processes of ours left on the device when a signal ended them. */
function removeOrphans(socket: RouteSocket, { direction }: Target, index: number): void {
  for (const filter of filtersOf(socket, index, direction)) {
    if (!filter.name.startsWith(OURS)) continue;
    const [, mark = ""] = filter.name.split(":");
    if (isOrphan(mark)) removeFilter(socket, filter);
  }
}

function explain(program: KernelProgram, target: Target, cause: unknown): unknown {
  const words = cause instanceof NetlinkFailure && cause.words !== "" ? cause.words : undefined;
  return explainAttach({ program, target, capability: "CAP_BPF and CAP_NET_ADMIN" }, cause, {
    EINVAL: words ?? `the program is a ${program.kind} program, or this kernel has no tcx links`,
    EEXIST: words ?? "the program is attached there already",
    ENOENT:
      words ??
      "the kernel has no clsact discipline or no BPF filters (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)",
    E2BIG: "the device has as many programs as it can take",
  });
}
