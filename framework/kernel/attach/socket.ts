import { bytes, i32, struct, u8, u16, u32 } from "../../core/layout.ts";
import type { Scope } from "../../core/scope.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { SocketLink } from "../../runtime/types.ts";
import { withArena } from "../../sys/arena.ts";
import { Fd } from "../../sys/fd.ts";
import { checked, libc } from "../../sys/libc.ts";
import {
  AF_PACKET,
  ETH_P_ALL,
  SO_ATTACH_BPF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
} from "../../uapi/constants.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import type { KernelProgram } from "../programs.ts";
import { explainAttach } from "./attach-error.ts";
import { deviceIndex } from "./xdp.ts";

type Target = Extract<AttachTarget, { hook: "socket_filter" }>;

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
      attachTo(socket, program.fd);
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

function attachTo(socket: Fd, programFd: number): void {
  withArena((arena) => {
    const value = Number(arena.in(struct("int", { value: u32 }).encode({ value: programFd })));
    const result = libc().setsockopt(socket.number, SOL_SOCKET, SO_ATTACH_BPF, value, 4);
    checked("setsockopt(SO_ATTACH_BPF)", result);
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
