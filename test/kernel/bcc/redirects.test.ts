import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { reportFromNamespace } from "./in-namespace.ts";

/** What redirects-child.ts prints. */
interface Report {
  readonly redirected: Readonly<Record<"map" | "hash" | "messageMap" | "messageHash", string>>;
  readonly joined: {
    readonly said: string;
    readonly numbers: readonly number[];
    readonly names: readonly number[];
    readonly refused: number;
  };
  readonly chosen: { readonly names: readonly string[]; readonly runs: number };
  readonly counted: Readonly<Record<"inside" | "outside", number>>;
}

describe("methods of tables of sockets and cgroups, in a network namespace of their own", () => {
  let report: Report;

  beforeAll(() => {
    if (KernelRuntime.probe().ok) report = reportFromNamespace("redirects-child.ts");
  }, SCRIPT_TIMEOUT_MS);

  beforeEach((context) => needsKernel(context, "netns_link"));

  test("sk_redirect_map and sk_redirect_hash send on through another socket what arrives at one", () => {
    const { map, hash } = report.redirected;
    expect({ map, hash }).toEqual({ map: "for arriving", hash: "for arriving_by_name" });
  });

  test("msg_redirect_map and msg_redirect_hash hand what one socket sends to another that receives", () => {
    const { messageMap, messageHash } = report.redirected;
    expect({ messageMap, messageHash }).toEqual({
      messageMap: "for sending",
      messageHash: "for sending_by_name",
    });
  });

  test("sock_map_update and sock_hash_update put a socket into a table while it is connected", () => {
    expect(report.joined).toEqual({ said: "connected\n", numbers: [2], names: [4312], refused: 0 });
  });

  test("sk_select_reuseport chooses among the listeners of a port", () => {
    expect(report.chosen).toEqual({ names: Array<string>(5).fill("second"), runs: 5 });
  });

  test("skb_under_cgroup tells packets of a cgroup's processes from others", () => {
    expect(report.counted).toEqual({ inside: 3, outside: 2 });
  });
});
