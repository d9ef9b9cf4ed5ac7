import { beforeAll, beforeEach, expect, test } from "vitest";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { reportFromNamespace } from "./in-namespace.ts";

type Attached = Readonly<Record<"xdp" | "filters" | "disciplines" | "cgroup" | "namespace", number>>;

/** What network-leaks-child.ts prints for each way to end. */
interface Left {
  readonly present: Attached;
  readonly left: Attached;
  readonly links: number;
  readonly programs: number;
  readonly more: readonly string[];
  readonly difference: number;
  readonly open: readonly string[];
  readonly watchers: number;
}

let report: Readonly<Record<string, Left>>;

beforeAll(() => {
  if (KernelRuntime.probe().ok) report = reportFromNamespace("network-leaks-child.ts");
}, SCRIPT_TIMEOUT_MS);

beforeEach((context) => needsKernel(context, "link"));

test.each(["close", "disposing every link", "an exception"])(
  "after %s nothing is left at devices, sockets, a cgroup and the namespace, nor any descriptor, program or map",
  (end) => {
    const { present, left, links, programs, more, difference, open, watchers } = report[end]!;
    expect(links).toBe(17);
    expect(programs).toBeGreaterThanOrEqual(12);
    expect(present).toMatchObject({ xdp: 2, cgroup: 5, namespace: 2 });
    expect(present.filters).toBeGreaterThanOrEqual(2);
    expect(left).toEqual({ xdp: 0, filters: 0, disciplines: 0, cgroup: 0, namespace: 0 });
    expect({ more, difference, open, watchers }).toEqual({ more: [], difference: 0, open: [], watchers: 0 });
  },
);
