import { readlinkSync } from "node:fs";
import { bytes, i32, struct, u8, u16 } from "../../core/layout.ts";
import type { Scope } from "../../core/scope.ts";
import { programKinds } from "../../programs/kinds.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { Link, SocketLink } from "../../runtime/types.ts";
import { withArena } from "../../sys/arena.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { checked, libc } from "../../sys/libc.ts";
import {
  AF_PACKET,
  ETH_P_ALL,
  SO_ATTACH_BPF,
  SO_ATTACH_REUSEPORT_EBPF,
  SO_DETACH_BPF,
  SO_DETACH_REUSEPORT_BPF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
} from "../../uapi/constants.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";
import { deviceIndex } from "./device.ts";

type Target = Extract<AttachTarget, { hook: "socket_filter" }>;
type OwnTarget = Extract<AttachTarget, { hook: "socket" }>;

/** `struct sockaddr_ll` (linux/if_packet.h). */
const sockaddrLl = struct("sockaddr_ll", {
  sll_family: u16,
  sll_protocol: u16,
  sll_ifindex: i32,
  sll_hatype: u16,
  sll_pkttype: u8,
  sll_halen: u8,
  sll_addr: bytes(8),
});

/** A number as the network sends it. */
const htons = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** A raw socket whose packets a program chooses. */
class KernelSocketLink extends KernelLink implements SocketLink {
  readonly #socket: Fd;

  constructor(program: KernelProgram, target: Target, parts: Scope, socket: Fd) {
    super(program, target, parts);
    this.#socket = socket;
  }

  /** @throws ClosedError after disposal */
  get fd(): number {
    return this.#socket.number;
  }
}

/**
 * Opens a raw socket and lets a program filter it. The program's result is how many bytes of a packet to keep.
 *
 * @throws AttachError for an unknown device; PermissionError without CAP_NET_RAW
 */
export function attachSocketFilter(program: KernelProgram, target: Target): SocketLink {
  const index = target.device === "" ? 0 : deviceIndex(program, target, target.device);
  return buildLink("a raw socket", (parts) => {
    try {
      const socket = parts.own(openSocket());
      setOption(socket.number, SO_ATTACH_BPF, program.fd);
      // Bound only now: a socket that receives before its filter is there would hold packets nobody chose.
      bind(socket, index);
      return new KernelSocketLink(program, target, parts, socket);
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_NET_RAW" }, error, {
        EINVAL: `the program is a ${program.kind} program`,
        ENETDOWN: "the device is down",
      });
    }
  });
}

function openSocket(): Fd {
  const fd = libc().socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return new Fd(checked("socket(AF_PACKET)", fd), "a raw socket");
}

const int = struct("int", { value: i32 });

/** An option of a socket that takes an int: a program's descriptor. */
function setOption(socket: number, option: number, value: number): void {
  withArena((arena) => {
    const bytes = int.encode({ value });
    const result = libc().setsockopt(socket, SOL_SOCKET, option, Number(arena.in(bytes)), 4);
    checked(`setsockopt(${option})`, result);
  });
}

function bind(socket: Fd, index: number): void {
  withArena((arena) => {
    const address = sockaddrLl.encode({
      sll_family: AF_PACKET,
      sll_protocol: htons(ETH_P_ALL),
      sll_ifindex: index,
    });
    checked("bind(AF_PACKET)", libc().bind(socket.number, Number(arena.in(address)), address.length));
  });
}

/** Which options attach and detach each kind. */
const options = {
  socket_filter: { attach: SO_ATTACH_BPF, detach: SO_DETACH_BPF },
  sk_reuseport: { attach: SO_ATTACH_REUSEPORT_EBPF, detach: SO_DETACH_REUSEPORT_BPF },
} as const;

/**
 * Lets a program filter what a user's own socket receives (since Linux 3.19), or choose among the sockets that share the
 * socket's port (4.19). The program stays while the socket is open, unless the link is disposed before.
 *
 * @throws AttachError when the socket does not take the program
 */
export function attachSocket(program: KernelProgram, target: OwnTarget): Link {
  const isChooser = programKinds[program.kind].type === programKinds.sk_reuseport.type;
  const { attach, detach } = options[isChooser ? "sk_reuseport" : "socket_filter"];
  return buildLink(target.place, (parts) => {
    try {
      setOption(target.fd, attach, program.fd);
      // No descriptor of our own: the socket would stay open when its user closes it.
      parts.defer(() => {
        if (socketOf(target.fd) === target.place) takeOff(target.fd, detach);
      });
      return new KernelLink(program, target, parts);
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_NET_ADMIN" }, error, {
        EBADF: "the descriptor is not open",
        ENOTSOCK: "the descriptor is no socket",
        EINVAL: isChooser
          ? "the socket shares no port (SO_REUSEPORT), or is not bound"
          : `the program is a ${program.kind} program`,
        ENOPROTOOPT: "this kernel cannot attach the program to a socket",
      });
    }
  });
}

/** What a descriptor is, for instance "socket:[4711]"; undefined for one that is not open. */
function socketOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

function takeOff(socket: number, option: number): void {
  try {
    setOption(socket, option, 0);
  } catch (error) {
    // The user took it off, or put another in its place and took that off.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
