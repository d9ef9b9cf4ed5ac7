import { beforeEach, describe, expect, test } from "vitest";
import { supports } from "../../../framework/kernel/features.ts";
import { SCRIPTS_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import type { Failure } from "./failing.ts";
import { reportFromNamespace } from "./in-namespace.ts";

type Counts = readonly number[];
type Way = "byDefault" | "byNetlink";

interface XdpReport {
  readonly attached: Counts;
  readonly mode: boolean;
  readonly again: Failure;
  readonly unexpected: Failure;
  readonly replaced: { readonly closed: boolean; readonly seen: Counts };
  readonly afterOldLink: Counts;
  readonly detached: Counts;
  readonly inDriver: { readonly seen: Counts; readonly shown: boolean };
  readonly hardware: Failure;
}

interface TcReport {
  readonly before: Counts;
  readonly incoming: Counts;
  readonly again: Failure;
  readonly onlyIn: Counts;
  readonly outgoing: Counts;
  readonly detached: Counts;
  readonly orders: readonly Counts[];
  readonly dropped: number;
  readonly passed: number;
  readonly left: string;
}

/** What devices-child.ts prints. */
interface Report {
  readonly xdp: Readonly<Record<Way, XdpReport>> &
    Readonly<Record<"replaceWithout" | "wrongThrough", Failure>>;
  readonly evicted: {
    readonly present: boolean;
    readonly removed: boolean;
    readonly twice: Failure;
    readonly survives: Counts;
    readonly unknown: Failure;
  };
  readonly shaping: Readonly<Record<Way, TcReport>> & {
    readonly beside: {
      readonly priority: string;
      readonly direct: boolean;
      readonly discipline: boolean;
    };
  } & Readonly<Record<"unknown" | "wrongKind" | "wrongPriority" | "wrongDirection", Failure>>;
  readonly ended: Readonly<
    Record<"links" | "filters" | "normally", Readonly<Record<"during" | "after" | "swept", string>> | null>
  >;
  readonly gone: boolean;
}

/** Made by the first test that needs it: where all are skipped, no script runs. */
let made: Report | undefined;
function report(): Report {
  made ??= reportFromNamespace<Report>("devices-child.ts");
  return made;
}

describe("programs on devices, with packets between two network namespaces", {
  timeout: SCRIPTS_TIMEOUT_MS,
}, () => {
  beforeEach((context) => needsKernel(context));

  describe.each([
    ["in the kernel's best way", "byDefault"],
    ["through netlink", "byNetlink"],
  ] as const)("XDP %s", (_, way) => {
    test("sees each packet that comes, until the link is disposed", () => {
      const { attached, detached } = report().xdp[way];
      expect({ attached, detached }).toEqual({ attached: [2, 0, 0, 0], detached: [0, 0, 0, 0] });
    });

    test("runs in the mode that the flags ask for", () => {
      expect(report().xdp[way].mode).toBe(true);
      expect(report().xdp[way].inDriver).toEqual({ seen: [2, 0, 0, 0], shown: true });
      expect(report().xdp[way].hardware.code).toBe("UNSUPPORTED");
    });

    test("a second program is refused", () => {
      expect(report().xdp[way].again.code).toBe("ATTACH");
      expect(report().xdp[way].again.message).toMatch(
        /^cannot attach "second" to XDP on rxc0: .*already.* \(E(BUSY|EXIST)\)$/,
      );
    });

    test("XDP_FLAGS_REPLACE puts a program in the place of the expected one, whose link is closed by it", () => {
      const { replaced, afterOldLink } = report().xdp[way];
      expect(replaced).toEqual({ closed: true, seen: [0, 2, 0, 0] });
      expect(afterOldLink).toEqual([0, 2, 0, 0]);
    });

    test("XDP_FLAGS_REPLACE refuses when another program is there than expected", () => {
      expect(report().xdp[way].unexpected.code).toBe("ATTACH");
    });
  });

  test("XDP_FLAGS_REPLACE without the expected program is an error, as is an unknown way", () => {
    expect(report().xdp.replaceWithout.code).toBe("USAGE");
    expect(report().xdp.wrongThrough.message).toBe(
      'attach_xdp: "through" is "link" or "netlink", not "wire"',
    );
  });

  test("remove_xdp takes a program of somebody else off", () => {
    const { present, removed, twice, unknown } = report().evicted;
    expect({ present, removed }).toEqual({ present: true, removed: true });
    expect(twice.message).toBe("nothing is attached to XDP on rxc0");
    expect(unknown.message).toBe("cannot remove XDP from rxc00: no such device");
    expect(unknown.hint).toBe("did you mean rxc0?");
  });

  test("a link whose program was taken off leaves alone what came in its place", () => {
    expect(report().evicted.survives).toEqual([2, 0, 0, 0]);
  });

  const hasTcx = supports("tcx_link").state === "yes";
  const ways: readonly (readonly [string, Way])[] = [
    ["tcx link", "byDefault"],
    ["clsact filter", "byNetlink"],
    ...(hasTcx ? [] : [["clsact filter, by default", "byDefault"] as const]),
  ];

  describe.each(ways)("attachTc with a %s", (name, way) => {
    beforeEach((context) => {
      if (name === "tcx link") needsKernel(context, "tcx_link");
    });

    test("sees packets that come in on ingress, and only those", () => {
      const { before, incoming, onlyIn } = report().shaping[way];
      expect({ before, incoming, onlyIn }).toEqual({
        before: [0, 0, 0, 0],
        incoming: [0, 0, 2, 0],
        onlyIn: [0, 0, 0, 0],
      });
    });

    test("sees packets that go out on egress", () => {
      expect(report().shaping[way].outgoing).toEqual([0, 0, 0, 2]);
    });

    test("detaches with the link, and leaves no discipline", () => {
      expect(report().shaping[way].detached).toEqual([0, 0, 0, 0]);
      expect(report().shaping[way].left).not.toContain("clsact");
    });

    test("runs programs in the order of their priorities, whichever was attached first", () => {
      expect(report().shaping[way].orders).toEqual([
        [2, 3],
        [2, 3],
      ]);
    });

    test("drops what the program tells it to drop", () => {
      const { dropped, passed } = report().shaping[way];
      expect({ dropped, passed }).toEqual({ dropped: 0, passed: 2 });
    });

    test("refuses a function that is there already", () => {
      expect(report().shaping[way].again.message).toBe('"third" is attached to tc ingress of rxc0 already');
    });
  });

  test("a filter has the given priority, and leaves a discipline of somebody else's", () => {
    expect(report().shaping.beside).toEqual({ priority: "7", direct: true, discipline: true });
  });

  test("wrong devices, kinds, priorities and directions are errors", () => {
    const { unknown, wrongKind, wrongPriority, wrongDirection } = report().shaping;
    expect(unknown.message).toBe('cannot attach "third" to tc ingress of rxc1: no such device');
    expect(unknown.hint).toBe("did you mean rxc0?");
    expect([wrongKind.code, wrongPriority.code, wrongDirection.code]).toEqual(["USAGE", "USAGE", "USAGE"]);
  });

  test("links leave nothing after kill -9", (context) => {
    needsKernel(context, "tcx_link");
    expect(report().ended.links).toEqual({ during: "xdp tc", after: "", swept: "" });
  });

  test("a filter outlives kill -9, and is swept with the next one on the device", () => {
    expect(report().ended.filters).toEqual({ during: "tc", after: "tc", swept: "" });
  });

  test("what netlink attached is taken off when the process ends", () => {
    expect(report().ended.normally).toEqual({ during: "", after: "", swept: "" });
  });

  test("links close without an error when their device is gone", () => {
    expect(report().gone).toBe(true);
  });
});
