import { viewOf } from "../../core/layout.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { type Attribute, attribute32, decodeAttributes, type RouteSocket } from "../../sys/netlink.ts";
import {
  XDP_FLAGS_DRV_MODE,
  XDP_FLAGS_HW_MODE,
  XDP_FLAGS_REPLACE,
  XDP_FLAGS_SKB_MODE,
} from "../../uapi/constants.ts";
import {
  IFLA_XDP,
  IFLA_XDP_ATTACHED,
  IFLA_XDP_EXPECTED_FD,
  IFLA_XDP_FD,
  IFLA_XDP_FLAGS,
  ifinfomsg,
  RTM_GETLINK,
  RTM_SETLINK,
} from "../../uapi/netlink.ts";

/** What to put on a device, and in place of what. */
export interface XdpRequest {
  readonly index: number;
  /** -1 takes the program off. */
  readonly programFd: number;
  /** XDP_FLAGS_*. */
  readonly flags: number;
  /** With XDP_FLAGS_REPLACE: the program that must be there. */
  readonly expectedFd?: number | undefined;
}

/**
 * Puts an XDP program on a device, or takes one off. Since Linux 4.8.
 *
 * @throws NetlinkFailure to be wrapped by the caller
 */
export function setXdp(socket: RouteSocket, { index, programFd, flags, expectedFd }: XdpRequest): void {
  const inside: Attribute[] = [
    [IFLA_XDP_FD, attribute32(programFd)],
    [IFLA_XDP_FLAGS, attribute32(flags)],
  ];
  if (expectedFd !== undefined) inside.push([IFLA_XDP_EXPECTED_FD, attribute32(expectedFd)]);
  socket.request({
    call: "RTM_SETLINK",
    type: RTM_SETLINK,
    layout: ifinfomsg,
    values: { ifi_index: index },
    attributes: [[IFLA_XDP, inside]],
  });
}

/** Takes a program off a device unless something else is there by now. */
export function unsetXdp(socket: RouteSocket, index: number, programFd: number, mode: number): void {
  try {
    setXdp(socket, { index, programFd: -1, flags: mode | XDP_FLAGS_REPLACE, expectedFd: programFd });
  } catch (error) {
    const errno = errnoOf(error);
    // The device is gone, or has another program, or another's link: all mean that this one is off.
    if (errno === "ENODEV" || errno === "EEXIST" || errno === "EBUSY") return;
    if (errno !== "EINVAL") throw error;
    // Before Linux 5.7 nothing can be expected.
    setXdp(socket, { index, programFd: -1, flags: mode });
  }
}

/** `IFLA_XDP_ATTACHED` (linux/if_link.h) as the flags that address the program; several modes at once are 4. */
const modes: Readonly<Record<number, readonly number[]>> = {
  0: [],
  1: [XDP_FLAGS_DRV_MODE],
  2: [XDP_FLAGS_SKB_MODE],
  3: [XDP_FLAGS_HW_MODE],
  4: [XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE],
};

/** The modes in which a device has an XDP program, as XDP_FLAGS_*; empty for a device without. */
export function xdpModesOf(socket: RouteSocket, index: number): readonly number[] {
  const answers = socket.request({
    call: "RTM_GETLINK",
    type: RTM_GETLINK,
    layout: ifinfomsg,
    values: { ifi_index: index },
  });
  for (const { payload } of answers) {
    const xdp = decodeAttributes(payload.subarray(ifinfomsg.size)).get(IFLA_XDP);
    const attached = xdp === undefined ? undefined : decodeAttributes(xdp).get(IFLA_XDP_ATTACHED);
    if (attached !== undefined) return modes[viewOf(attached).getUint8(0)] ?? [];
  }
  return [];
}
