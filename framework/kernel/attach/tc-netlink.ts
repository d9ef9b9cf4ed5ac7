import { viewOf } from "../../core/layout.ts";
import { errnoOf } from "../../sys/bpf.ts";
import { attribute32, attributeText, decodeAttributes, type RouteSocket, textOf } from "../../sys/netlink.ts";
import { ETH_P_ALL } from "../../uapi/constants.ts";
import {
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  RTM_DELQDISC,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  TC_H_CLSACT,
  TC_H_CLSACT_HANDLE,
  TC_H_EGRESS_FILTERS,
  TC_H_INGRESS_FILTERS,
  TCA_BPF_FD,
  TCA_BPF_FLAG_ACT_DIRECT,
  TCA_BPF_FLAGS,
  TCA_BPF_NAME,
  TCA_KIND,
  TCA_OPTIONS,
  tcmsg,
} from "../../uapi/netlink.ts";

/** ETH_P_ALL as the network sends it. */
const ALL_PROTOCOLS = (ETH_P_ALL & 0xff) << 8;

const parents = { ingress: TC_H_INGRESS_FILTERS, egress: TC_H_EGRESS_FILTERS } as const;
export type Direction = keyof typeof parents;

/** A filter as the kernel addresses it. */
export interface Filter {
  readonly index: number;
  readonly direction: Direction;
  readonly handle: number;
  /** The priority in its upper half, and the protocol. */
  readonly info: number;
  /** What the one who made it called it. */
  readonly name: string;
}

/** Devices to which this process gave the discipline: it goes with the last of anybody's filters. */
const ours = new Set<number>();

/**
 * Gives a device the discipline that BPF filters hang below, unless it has one. Since Linux 4.5.
 *
 * @throws NetlinkFailure to be wrapped by the caller
 */
export function addDiscipline(socket: RouteSocket, index: number): void {
  try {
    socket.request({
      call: "RTM_NEWQDISC",
      type: RTM_NEWQDISC,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      layout: tcmsg,
      values: { tcm_ifindex: index, tcm_handle: TC_H_CLSACT_HANDLE, tcm_parent: TC_H_CLSACT },
      attributes: [[TCA_KIND, attributeText("clsact")]],
    });
    ours.add(index);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/** Takes the discipline off again, if it is this process's and no filter of anybody hangs below it. */
export function removeDiscipline(socket: RouteSocket, index: number): void {
  if (!ours.has(index)) return;
  ignoring(GONE, () => {
    const filters = (["ingress", "egress"] as const).flatMap((direction) =>
      filtersOf(socket, index, direction),
    );
    if (filters.length > 0) return;
    ours.delete(index);
    socket.request({
      call: "RTM_DELQDISC",
      type: RTM_DELQDISC,
      layout: tcmsg,
      values: { tcm_ifindex: index, tcm_handle: TC_H_CLSACT_HANDLE, tcm_parent: TC_H_CLSACT },
    });
  });
}

/** A filter to be made. */
export interface NewFilter {
  readonly index: number;
  readonly direction: Direction;
  readonly programFd: number;
  /** 0 lets the kernel choose. */
  readonly priority: number;
  readonly name: string;
}

/**
 * Makes a filter whose program gives the verdict. Since Linux 4.4.
 *
 * @throws NetlinkFailure to be wrapped by the caller
 */
export function addFilter(socket: RouteSocket, filter: NewFilter): Filter {
  const { index, direction, programFd, priority, name } = filter;
  const answers = socket.request({
    call: "RTM_NEWTFILTER",
    type: RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO,
    layout: tcmsg,
    values: {
      tcm_ifindex: index,
      tcm_parent: parents[direction],
      tcm_info: ((priority << 16) | ALL_PROTOCOLS) >>> 0,
    },
    attributes: [
      [TCA_KIND, attributeText("bpf")],
      [
        TCA_OPTIONS,
        [
          [TCA_BPF_FD, attribute32(programFd)],
          [TCA_BPF_NAME, attributeText(name)],
          [TCA_BPF_FLAGS, attribute32(TCA_BPF_FLAG_ACT_DIRECT)],
        ],
      ],
    ],
  });
  const { tcm_handle, tcm_info } = tcmsg.read(viewOf(answers[0]!.payload), 0);
  return { index, direction, handle: tcm_handle, info: tcm_info, name };
}

/** Takes a filter off, if it is still there. */
export function removeFilter(socket: RouteSocket, { index, direction, handle, info }: Filter): void {
  ignoring(GONE, () =>
    socket.request({
      call: "RTM_DELTFILTER",
      type: RTM_DELTFILTER,
      layout: tcmsg,
      values: { tcm_ifindex: index, tcm_parent: parents[direction], tcm_handle: handle, tcm_info: info },
      attributes: [[TCA_KIND, attributeText("bpf")]],
    }),
  );
}

/** What the kernel answers when the filter, its discipline or the device is gone. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ENODEV", "EINVAL"]);

function ignoring(errnos: ReadonlySet<string>, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!errnos.has(errnoOf(error) ?? "")) throw error;
  }
}

/** The BPF filters of a device in one direction; empty for one without a discipline. */
export function filtersOf(socket: RouteSocket, index: number, direction: Direction): readonly Filter[] {
  const answers = socket.request({
    call: "RTM_GETTFILTER",
    type: RTM_GETTFILTER,
    flags: NLM_F_DUMP,
    layout: tcmsg,
    values: { tcm_ifindex: index, tcm_parent: parents[direction] },
  });
  return answers.flatMap(({ payload }) => {
    const { tcm_handle, tcm_info } = tcmsg.read(viewOf(payload), 0);
    // A priority is listed as well, without a handle.
    if (tcm_handle === 0) return [];
    const options = decodeAttributes(payload.subarray(tcmsg.size)).get(TCA_OPTIONS);
    const name = options === undefined ? "" : textOf(decodeAttributes(options).get(TCA_BPF_NAME));
    return [{ index, direction, handle: tcm_handle, info: tcm_info, name }];
  });
}
