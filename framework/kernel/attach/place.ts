import { UnsupportedError, UsageError } from "../../core/errors.ts";
import { type AttachType, attachTypes } from "../../programs/attach-types.ts";
import { type ProgramKindName, programKindNames, programKinds } from "../../programs/kinds.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { FeatureName, Link } from "../../runtime/types.ts";
import { bpf, bpfReply, errnoOf } from "../../sys/bpf.ts";
import { duplicate, Fd } from "../../sys/fd.ts";
import { kernelRelease } from "../../sys/proc.ts";
import { linkCreate, progAttach, progQuery } from "../../uapi/bpf-attr.ts";
import { BPF_F_ALLOW_MULTI, BPF_F_ALLOW_OVERRIDE, BPF_F_QUERY_EFFECTIVE } from "../../uapi/constants.ts";
import { supports } from "../features.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";
import { LastingLink } from "./lasting-link.ts";

type Target = Extract<AttachTarget, { hook: "place" }>;
type Place = NonNullable<AttachType["at"]>;

/** What stands behind each kind of place: whose links it takes, and which capability attaching needs. */
const places: { readonly [P in Place]: { readonly links: FeatureName | null; readonly capability: string } } =
  {
    cgroup: { links: "link", capability: "CAP_BPF and CAP_NET_ADMIN" },
    netns: { links: "netns_link", capability: "CAP_BPF and CAP_NET_ADMIN" },
    map: { links: null, capability: "CAP_BPF and CAP_NET_ADMIN" },
  };

/**
 * Runs a program at a cgroup, a socket map or a network namespace. Cgroups since Linux 4.10, with links since 5.7; socket
 * maps since 4.14; network namespaces since 4.20 (flow dissectors) and 5.9 (sk_lookup).
 *
 * A link ends with the process whatever happens, and goes well with other programs there. Without one, and with
 * BPF_F_ALLOW_OVERRIDE, which links do not have, the program stays until it is detached.
 *
 * @throws UsageError for a type that is attached in another way
 * @throws AttachError when the place does not take the program
 */
export function attachPlace(program: KernelProgram, target: Target): Link {
  const type: AttachType = attachTypes[target.attachType];
  if (type.at === null) throw wrongWay(target);
  const { links, capability } = places[type.at];
  checkFlags(target, type.at);
  const isPlain = (target.flags & BPF_F_ALLOW_OVERRIDE) === 0;
  try {
    return links !== null && isPlain && supports(links).state !== "no"
      ? attachByLink(program, target)
      : attachLasting(program, target, type.at);
  } catch (error) {
    throw explain({ program, target, capability }, type, error);
  }
}

function checkFlags({ flags, attachType }: Target, at: Place): void {
  const allowed = at === "cgroup" ? BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI : 0;
  if ((flags & ~allowed) === 0) return;
  throw new UsageError(`attaching as ${attachType} takes no flags 0x${(flags & ~allowed).toString(16)}`, {
    hint: at === "cgroup" ? "cgroups take BPF_F_ALLOW_OVERRIDE (1) or BPF_F_ALLOW_MULTI (2)" : undefined,
  });
}

/** How the types that no descriptor is for are attached. */
const otherWays: Readonly<Partial<Record<Target["attachType"], string>>> = {
  xdp: "use attach_xdp",
  tcx_ingress: "use attachTc",
  tcx_egress: "use attachTc",
  perf_event: "use attach_perf_event",
  sk_reuseport_select: "use attachSocket",
  sk_reuseport_select_or_migrate: "use attachSocket",
  xdp_devmap: "store the program in the map",
  xdp_cpumap: "store the program in the map",
};

function wrongWay({ attachType }: Target): Error {
  if (attachType === "lirc_mode2") {
    return new UnsupportedError("programs for infrared receivers (lirc_mode2) are not supported", {
      hint: "no other interface of this library attaches them",
    });
  }
  return new UsageError(`attach_func does not attach ${attachType} programs`, {
    hint: otherWays[attachType] ?? "they attach by their function's name or section",
  });
}

function attachByLink(program: KernelProgram, target: Target): Link {
  const label = `${target.attachType} of ${target.place}`;
  return buildLink(label, (parts) => {
    const fd = bpf("BPF_LINK_CREATE", linkCreate, {
      prog_fd: program.fd,
      target: target.fd,
      attach_type: attachTypes[target.attachType].type,
    });
    parts.own(new Fd(fd, label));
    return new KernelLink(program, target, parts);
  });
}

/** Places of this process that take one program each, and would let another take its place without a word. */
const taken = new Set<string>();

function attachLasting(program: KernelProgram, target: Target, at: Place): Link {
  const label = `${target.attachType} of ${target.place}`;
  if (at === "map" && taken.has(label)) throw cannotAttach(program, target, "it has a program already");
  return buildLink(label, (parts) => {
    const place = parts.own(duplicate(target.fd, label));
    const values = {
      // Without links a flow dissector is always this process's namespace's.
      target_fd: at === "netns" ? 0 : place.number,
      attach_bpf_fd: program.fd,
      attach_type: attachTypes[target.attachType].type,
    };
    const flags = at === "cgroup" ? target.flags || BPF_F_ALLOW_MULTI : 0;
    bpf("BPF_PROG_ATTACH", progAttach, { ...values, attach_flags: flags });
    const programFd = parts.own(duplicate(program.fd, label));
    parts.defer(() => detach({ ...values, attach_bpf_fd: programFd.number }));
    if (at === "map") {
      taken.add(label);
      parts.defer(() => taken.delete(label));
    }
    return new LastingLink(program, target, parts);
  });
}

function detach(values: Parameters<typeof progAttach.encode>[0]): void {
  try {
    bpf("BPF_PROG_DETACH", progAttach, values);
  } catch (error) {
    // Somebody detached it before.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function explain(
  failure: { readonly program: KernelProgram; readonly target: Target; readonly capability: string },
  type: AttachType,
  cause: unknown,
): unknown {
  const { program, target } = failure;
  const errno = errnoOf(cause);
  if (errno === "EPERM" && type.at === "cgroup" && hasPrograms(target)) {
    return cannotAttach(program, target, "a program there, or in a cgroup above, excludes others (EPERM)", {
      hint: "it was attached without BPF_F_ALLOW_MULTI; detach it first",
      cause,
    });
  }
  if (errno === "EINVAL" && programKinds[program.kind].type !== kindFor(target)?.type) {
    return explainAttach(failure, cause, { EINVAL: `the program is a ${program.kind} program` });
  }
  return explainAttach(failure, cause, {
    EBADF: `the descriptor is no ${words[type.at ?? "cgroup"]}`,
    EBUSY: "it has a program already",
    E2BIG: type.at === "netns" ? "it has a program already" : "it has as many programs as it can take",
    EEXIST: "it has a program already",
    EOPNOTSUPP: "the map does not take such a program",
    EINVAL: `the program was loaded as ${program.kind}, or this kernel (${kernelRelease()}) cannot attach it there`,
  });
}

const words: Readonly<Record<Place, string>> = {
  cgroup: "cgroup (version 2)",
  netns: "network namespace",
  map: "socket map",
};

/** The kind that is loaded for an attach type, where there is one. */
function kindFor({ attachType }: Target): (typeof programKinds)[ProgramKindName] | undefined {
  const { type } = attachTypes[attachType];
  const name = programKindNames.find(
    (kind) => programKinds[kind].hook === "place" && programKinds[kind].attachType === type,
  );
  return name === undefined ? undefined : programKinds[name];
}

/** Whether a cgroup has programs of a type, its own or from above. */
function hasPrograms(target: Target): boolean {
  try {
    const { attr } = bpfReply("BPF_PROG_QUERY", progQuery, {
      target_fd: target.fd,
      attach_type: attachTypes[target.attachType].type,
      query_flags: BPF_F_QUERY_EFFECTIVE,
    });
    return attr.prog_cnt > 0;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}
