import { closeSync, openSync, readlinkSync } from "node:fs";
import { Table } from "../../maps/tables/table.ts";
import { UsageError } from "../core/errors.ts";
import { show } from "../core/layout.ts";
import { type AttachTypeName, attachTypeOf, attachTypes } from "../programs/attach-types.ts";
import { type ProgramKindName, programKinds } from "../programs/kinds.ts";
import { isSharedMap, type Link, type SocketLink } from "../runtime/types.ts";
import { BPFAttachType } from "./attach-types.ts";
import type { Attachments } from "./attachments.ts";
import type { BpfFunction } from "./bpf.ts";
import { checkOptions } from "./options.ts";
import { PerfHooks } from "./perf-hooks.ts";

/** How to attach to a device. Links end with the process; what netlink attaches stays when a signal ends it. */
export interface DeviceOptions {
  /** By default a link where the kernel has them. */
  readonly through?: "link" | "netlink";
}

/** How to attach an XDP program. */
export interface XdpOptions extends DeviceOptions {
  /** With XDP_FLAGS_REPLACE: the function that the device runs now. */
  readonly expected?: BpfFunction;
}

/** Where a tc program runs, and when among others. */
export interface TcOptions extends DeviceOptions {
  readonly dev: string;
  /** A function loaded as BPF.SCHED_CLS. */
  readonly fn: BpfFunction;
  /** "ingress" for packets that come in, "egress" for those that go out. */
  readonly direction: "ingress" | "egress";
  /** Programs of lower priority run first; left out, this one runs last. */
  readonly priority?: number;
}

/** The part of `BPF` that attaches to devices, sockets, cgroups, socket maps and network namespaces. */
export abstract class NetworkHooks extends PerfHooks {
  /** Functions attach within the object that they belong to, as in BCC, whichever object the method was called on. */
  static #attachmentsOf(fn: BpfFunction): Attachments {
    const owner: NetworkHooks = fn.bpf;
    return owner.attachments;
  }

  /**
   * Runs a loaded function on every packet a device receives: through a link where the kernel has them (5.9), so that it
   * ends with this object, else through netlink (4.8). A program that is there already stays, and this is an error,
   * unless `flags` has XDP_FLAGS_REPLACE and the program is the expected one.
   */
  attach_xdp(dev: string, fn: BpfFunction, flags = 0, options: XdpOptions = {}): Link {
    checkOptions("attach_xdp", options, { through: "string?", expected: "function?" });
    assertLoadedAs("attach_xdp", fn, "xdp");
    const { expected } = options;
    return NetworkHooks.#attachmentsOf(fn).attach(fn.name, "xdp", {
      hook: "xdp",
      device: dev,
      flags,
      through: throughOf("attach_xdp", options),
      expected: expected?.fd,
    });
  }

  /** Takes the XDP program off a device: this object's, or else whoever's it is, unless a link of another holds it. */
  remove_xdp(dev: string, flags = 0): void {
    this.scope.assertOpen();
    const target = { hook: "xdp", device: dev, flags } as const;
    if (!this.attachments.has(target) && this.host.runtime.evictXdp(dev, flags)) return;
    this.attachments.detach(target);
  }

  /** Runs a loaded function on every packet a device receives or sends: tcx links (6.6), before that clsact (4.5). */
  attachTc(options: TcOptions): Link {
    checkOptions("attachTc", options, {
      dev: "string",
      fn: "function",
      direction: "string",
      priority: "number?",
      through: "string?",
    });
    const { dev, fn, direction, priority = 0 } = options;
    assertLoadedAs("attachTc", fn, "sched_cls");
    if (direction !== "ingress" && direction !== "egress") {
      throw new UsageError(`attachTc: "direction" is "ingress" or "egress", not ${show(direction)}`);
    }
    const through = throughOf("attachTc", options);
    return NetworkHooks.#attachmentsOf(fn).attach(fn.name, "sched_cls", {
      hook: "tc",
      device: dev,
      direction,
      priority,
      through,
    });
  }

  /**
   * Receives packets through a socket that a loaded function filters (3.19): its result is how many bytes to keep. ""
   * receives from all devices. The link's `fd` is the socket, for reading the packets.
   */
  attach_raw_socket(fn: BpfFunction, dev: string): SocketLink {
    assertLoadedAs("attach_raw_socket", fn, "socket_filter");
    const link = NetworkHooks.#attachmentsOf(fn).attach(fn.name, "socket_filter", {
      hook: "socket_filter",
      device: dev,
    });
    // Runtimes give sockets for this hook and no other.
    return link as SocketLink;
  }

  /**
   * Filters what a socket of your own receives (a BPF.SOCKET_FILTER function, 3.19), or chooses among the sockets that
   * share its port (BPF.SK_REUSEPORT, 4.19).
   *
   * @param options.fd the socket's descriptor, which stays yours
   */
  attachSocket(options: { readonly fn: BpfFunction; readonly fd: number }): Link {
    checkOptions("attachSocket", options, { fn: "function", fd: "number" });
    const { fn, fd } = options;
    const kind = kindOf(fn);
    const { type } = programKinds[kind];
    if (type !== programKinds.sk_reuseport.type) assertLoadedAs("attachSocket", fn, "socket_filter");
    return NetworkHooks.#attachmentsOf(fn).attach(fn.name, kind, {
      hook: "socket",
      fd,
      place: whatIs("attachSocket", fd),
    });
  }

  /**
   * Runs a loaded function at a cgroup, a socket map or a network namespace: through a link where the kernel has them, so
   * that it ends with this object. Sockets get a map's programs when they go into it, and keep them until they leave.
   *
   * @param attachable the folder of a cgroup (version 2), its descriptor, a table of sockets, or a file of a network
   * namespace; 0 is this process's namespace
   * @param attach_type BPFAttachType.CGROUP_INET_EGRESS, …
   * @param flags of cgroups: 1 lets a cgroup below override the program (BPF_F_ALLOW_OVERRIDE, without a link)
   */
  attach_func(fn: BpfFunction, attachable: number | string | Table, attach_type: number, flags = 0): Link {
    const attachType = nameOf("attach_func", attach_type);
    return atPlace("attach_func", attachable, attachType, (fd, place) =>
      NetworkHooks.#attachmentsOf(fn).attach(fn.name, kindOf(fn), {
        hook: "place",
        fd,
        place,
        attachType,
        flags,
      }),
    );
  }

  /** Takes off what `attach_func` attached. */
  detach_func(fn: BpfFunction, attachable: number | string | Table, attach_type: number): void {
    const attachType = nameOf("detach_func", attach_type);
    atPlace("detach_func", attachable, attachType, (fd, place) =>
      NetworkHooks.#attachmentsOf(fn).detach({ hook: "place", fd, place, attachType, flags: 0 }, fn.name),
    );
  }
}

function kindOf({ name, program }: BpfFunction): ProgramKindName {
  const { kind } = program.spec;
  if (kind === null) throw new UsageError(`"${name}" was loaded without a kind`);
  return kind;
}

function assertLoadedAs(method: string, { name, program }: BpfFunction, kind: ProgramKindName): void {
  const own = program.spec.kind;
  if (own !== null && programKinds[own].type === programKinds[kind].type) return;
  throw new UsageError(`${method}: "${name}" is loaded as a ${own} program`, {
    hint: `load it as one that fits: load_func(${JSON.stringify(name)}, BPF.${kind.toUpperCase()})`,
  });
}

function throughOf(method: string, { through }: DeviceOptions): DeviceOptions["through"] {
  if (through === undefined || through === "link" || through === "netlink") return through;
  throw new UsageError(`${method}: "through" is "link" or "netlink", not ${show(through)}`);
}

function nameOf(method: string, type: number): AttachTypeName {
  const name = attachTypeOf(type);
  if (name !== undefined) return name;
  throw new UsageError(`${method}: there is no attach type ${show(type)}`, {
    hint: `use BPFAttachType.CGROUP_INET_EGRESS, …, which are 0 to ${BPFAttachType.CGROUP_UNIX_GETSOCKNAME}`,
  });
}

/** What a descriptor is: a path, or "socket:[4711]". */
function whatIs(method: string, fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch (cause) {
    throw new UsageError(`${method}: ${show(fd)} is no open descriptor`, { cause });
  }
}

const OWN_NAMESPACE = "/proc/self/ns/net";

/** Runs an action with the descriptor of what a user names; one that was opened for it is closed afterwards. */
function atPlace<T>(
  method: string,
  attachable: number | string | Table,
  type: AttachTypeName,
  action: (fd: number, place: string) => T,
): T {
  if (attachable instanceof Table) {
    const { raw, name } = attachable;
    if (!isSharedMap(raw)) throw new UsageError(`${method}: table "${name}" has no descriptor`);
    return action(raw.fd, `table "${name}"`);
  }
  const isOwnNamespace = attachTypes[type].at === "netns" && attachable === 0;
  const path = isOwnNamespace ? OWN_NAMESPACE : attachable;
  if (typeof path === "number") return action(path, whatIs(method, path));
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw new UsageError(`${method}: cannot open ${path}`, { cause });
  }
  try {
    return action(fd, whatIs(method, fd));
  } finally {
    closeSync(fd);
  }
}
