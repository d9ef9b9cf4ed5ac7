import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import type { Failure } from "./failing.ts";
import { reportFromNamespace } from "./in-namespace.ts";

/** What sockets-child.ts prints. */
interface Report {
  readonly sharing: unknown;
  readonly filtering: {
    readonly texts: readonly string[];
    readonly runs: number;
    readonly after: number;
  } & Readonly<Record<"again" | "noSocket" | "noPort", Failure>>;
  readonly sockets: {
    readonly first: string;
    readonly sent: number;
    readonly unseen: number;
    readonly last: string;
    readonly arrived: { readonly bytes: number; readonly parsed: number };
  } & Readonly<Record<"second" | "wrong", Failure>>;
  readonly namespace: Readonly<Record<"before" | "during" | "after", string>> & {
    readonly lookups: number;
    readonly dissections: {
      readonly before: readonly number[];
      readonly during: readonly number[];
      readonly runs: number;
      readonly after: number;
    };
  } & Readonly<Record<"again" | "twice" | "noNamespace", Failure>>;
}

describe("programs at sockets, in a network namespace of their own", () => {
  let report: Report;

  beforeAll(() => {
    if (KernelRuntime.probe().ok) report = reportFromNamespace("sockets-child.ts");
  }, SCRIPT_TIMEOUT_MS);

  beforeEach((context) => needsKernel(context, "netns_link"));

  test("attachSocket filters what a socket of one's own receives, until the link is disposed", () => {
    const { texts, runs, after } = report.filtering;
    expect({ texts, runs, after }).toEqual({ texts: ["short", "longer again"], runs: 2, after: 2 });
  });

  test("attachSocket refuses a second time, what is no socket, and sockets that share no port", () => {
    const { again, noSocket, noPort } = report.filtering;
    expect(again.message).toMatch(/^"short_only" is attached to socket:\[\d+\] already$/);
    expect(noSocket.message).toMatch(/the descriptor is no socket \(ENOTSOCK\)$/);
    expect(noPort.message).toMatch(/the socket shares no port \(SO_REUSEPORT\), or is not bound \(EINVAL\)$/);
  });

  test("sk_msg at a table of sockets sees what they send, and nothing of those that come after it was detached", () => {
    const { first, sent, unseen } = report.sockets;
    expect({ first, sent, unseen }).toEqual({ first: "twelve bytes", sent: 12, unseen: 0 });
  });

  test("sk_skb parsers and verdicts at a table of sockets see what arrives", () => {
    const { last, arrived } = report.sockets;
    expect({ last, arrived }).toEqual({ last: "seven b", arrived: { bytes: 7, parsed: 1 } });
  });

  test("a table takes one program of a type, and only tables of sockets take any", () => {
    expect(report.sockets.second.message).toBe(
      'cannot attach "mute" to sk_msg_verdict of table "clients": it has a program already',
    );
    expect(report.sockets.wrong.message).toMatch(/table "counts": .*\(E(OPNOTSUPP|INVAL)\)$/);
  });

  test("sk_lookup decides in this namespace who gets a connection, until the link is disposed", () => {
    const { before, during, after, lookups } = report.namespace;
    expect({ before, during, after, lookups }).toEqual({
      before: "connected",
      during: "ECONNREFUSED",
      after: "connected",
      lookups: 1,
    });
    expect(report.namespace.again.message).toMatch(
      /^"closed_port" is attached to sk_lookup of net:\[\d+\] already$/,
    );
  });

  test("a flow dissector says what packets of this namespace belong together, until its link is disposed", () => {
    const { before, during, runs, after } = report.namespace.dissections;
    // Ports tell flows apart in the kernel's own dissector, and ours sees only one address.
    expect(before[0]).not.toBe(before[1]);
    expect(during[0]).toBe(during[1]);
    expect({ runs, after }).toEqual({ runs: 2, after: 2 });
  });

  test("sk_reuseport chooses among the sockets of one port, until its link is disposed", () => {
    expect(report.sharing).toEqual({ received: [0, 8], runs: 8, after: { received: 8, runs: 8 } });
  });

  test("a namespace takes one flow dissector", () => {
    expect(report.namespace.twice.message).toMatch(/of net:\[\d+\]: it has a program already \(E\w+\)$/);
    expect(report.namespace.noNamespace.code).toBe("ATTACH");
  });
});
