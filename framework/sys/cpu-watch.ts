import { AF_NETLINK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from "../uapi/constants.ts";
import { NETLINK_KOBJECT_UEVENT, sockaddrNl } from "../uapi/netlink.ts";
import { withArena } from "./arena.ts";
import { Fd } from "./fd.ts";
import { checked, libc, pinned } from "./libc.ts";
import { watchQuietly } from "./poller.ts";

/** The multicast group of the kernel's own events. */
const KERNEL_EVENTS = 1;

/** Longest event, UEVENT_BUFFER_SIZE of linux/kobject.h. */
const LONGEST = 2048;

/** A CPU that came or went. */
export type CpuListener = (change: { readonly cpu: number; readonly isOnline: boolean }) => void;

/** Who wants to know; all share one socket. */
const listeners = new Set<CpuListener>();
let closeSocket: (() => void) | undefined;

/**
 * Calls back when a CPU comes online or goes offline, until the watch is disposed; does not keep the process alive.
 *
 * The kernel tells every network namespace that belongs to the first user namespace. In those of other user namespaces
 * nothing is heard, and CPUs that come online later are not watched.
 *
 * @throws SyscallError to be wrapped by the caller
 */
export function watchCpus(onChange: CpuListener): Disposable {
  closeSocket ??= openSocket();
  // A function of its own, so that one who watches twice is told twice.
  const listener: CpuListener = (change) => onChange(change);
  listeners.add(listener);
  return {
    [Symbol.dispose]() {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      closeSocket?.();
      closeSocket = undefined;
    },
  };
}

/** Listens to the kernel; gives how to stop. */
function openSocket(): () => void {
  const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const number = checked("socket(AF_NETLINK)", libc().socket(AF_NETLINK, type, NETLINK_KOBJECT_UEVENT));
  const socket = new Fd(number, "the socket for news of CPUs");
  try {
    withArena((arena) => {
      const address = sockaddrNl.encode({ nl_family: AF_NETLINK, nl_groups: KERNEL_EVENTS });
      checked("bind(AF_NETLINK)", libc().bind(socket.number, Number(arena.in(address)), address.length));
    });
    const stop = watchQuietly(socket.number, () => readAll(socket));
    return () => {
      stop();
      socket[Symbol.dispose]();
    };
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

function readAll(socket: Fd): void {
  const buffer = pinned(LONGEST);
  while (!socket.closed) {
    const length = libc().recv(socket.number, buffer.address, LONGEST, 0);
    if (length <= 0) return; // all is read: the socket does not block
    const change = changeIn(Buffer.from(buffer.bytes.subarray(0, length)).toString("latin1"));
    if (change !== undefined) for (const listener of [...listeners]) listener(change);
  }
}

/** The change that an event's text tells of: it begins with an action and a path, as in "online@/devices/…/cpu1". */
export function changeIn(text: string): Parameters<CpuListener>[0] | undefined {
  const match = /^(online|offline)@\/devices\/system\/cpu\/cpu(\d+)\0/.exec(text);
  return match === null ? undefined : { cpu: Number(match[2]), isOnline: match[1] === "online" };
}
