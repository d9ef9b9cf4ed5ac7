import { firstValueFrom } from "rxjs";
import { describe, expect, test } from "vitest";
import { BPF, type EventTable } from "../../../framework/index.ts";
import { collect, eventually } from "../../support/events.ts";
import { needsRuntime, runtimes } from "../../support/runtimes.ts";

const BUFFERS = [
  {
    buffer: "a ring buffer",
    declared: "BPF_RINGBUF_OUTPUT(out, 2);",
    sent: "out.ringbuf_output(&n, sizeof(n), 0)",
  },
  { buffer: "a perf buffer", declared: "BPF_PERF_OUTPUT(out);", sent: "out.perf_submit(ctx, &n, sizeof(n))" },
] as const;

const CASES = runtimes.flatMap((runtime) => BUFFERS.map((buffer) => ({ ...runtime, ...buffer })));

describe.each(CASES)("$buffer of the $name", ({ name, reason, declared, sent }) => {
  const open = () => {
    const b = new BPF({
      text: `${declared} RAW_TRACEPOINT_PROBE(sys_enter) { u32 n = ctx->args[0]; ${sent}; return 0; }`,
      runtime: name,
      autoAttach: false,
    });
    const out: EventTable<number> = b.get_table<never, number>("out");
    const send = (...numbers: readonly number[]): void => {
      for (const n of numbers) b.fire("raw_tracepoint__sys_enter", { args: [BigInt(n)] });
    };
    return { b, out, send };
  };
  // Perf buffers keep the order of each CPU only, and this process may move between them.
  const sorted = (numbers: readonly number[]): readonly number[] => [...numbers].sort((a, b) => a - b);

  test("keeps what the last subscriber left unread for the next one", async (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    const first = firstValueFrom(out.events());
    send(1, 2, 3, 4, 5);
    const got = [await first, await firstValueFrom(out.events()), await firstValueFrom(out.events())];
    using rest = collect(out.events());
    await eventually("the rest", () => got.length + rest.items.length === 5);
    expect(sorted([...got, ...rest.items])).toEqual([1, 2, 3, 4, 5]);
  });

  test("keeps what comes while nobody subscribes, once it has been read from", async (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    collect(out.events())[Symbol.dispose]();
    send(1, 2, 3);
    expect(out.lostTotal).toBe(0);
    using events = collect(out.events());
    await eventually("all three", () => events.items.length === 3);
    expect(sorted(events.items)).toEqual([1, 2, 3]);
  });

  test("hands over what is unread when one subscriber follows another in its callback", async (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    const got: number[] = [];
    const next = (): void => {
      const one = out.events().subscribe((number) => {
        got.push(number);
        one.unsubscribe();
        if (got.length < 6) next();
      });
    };
    next();
    send(1, 2, 3, 4, 5, 6);
    await eventually("all six", () => got.length === 6);
    expect(sorted(got)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  const opened = (b: BPF, out: EventTable<number>, take: (n: number) => void): (() => number) => {
    if (out.kind === "ringbuf") {
      out.open_ring_buffer((_ctx, data) => take(out.event(data)));
      return () => b.ring_buffer_consume();
    }
    out.open_perf_buffer((_cpu, data) => take(out.event(data)));
    return () => b.perf_buffer_consume();
  };

  test("gives each record once when a callback asks for more inside of itself", (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    const got: number[] = [];
    const inside: number[] = [];
    const consume = opened(b, out, (n) => {
      got.push(n);
      inside.push(consume());
    });
    send(1, 2, 3, 4, 5);
    expect(consume()).toBe(5);
    expect(sorted(got)).toEqual([1, 2, 3, 4, 5]);
    expect(inside).toEqual([0, 0, 0, 0, 0]);
  });

  test("gives a callback what is left when the stream before it left inside of its own", async (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    const got: number[] = [];
    let consume: (() => number) | undefined;
    const once = out.events().subscribe((number) => {
      got.push(number);
      once.unsubscribe();
      consume = opened(b, out, (n) => got.push(n));
      expect(consume()).toBe(0);
    });
    send(1, 2, 3, 4, 5);
    await eventually("the first", () => consume !== undefined);
    expect(consume?.()).toBe(4);
    expect(sorted(got)).toEqual([1, 2, 3, 4, 5]);
  });

  test("is lost no more than it was full, whoever reads when", async (context) => {
    needsRuntime(context, reason);
    const { b, out, send } = open();
    using _ = b;
    using _losses = collect(out.lost);
    collect(out.events())[Symbol.dispose]();
    const sentOnes = 5000;
    send(...Array.from({ length: sentOnes }, (_, n) => n));
    using events = collect(out.events());
    await eventually(
      "received and lost to be what was sent",
      () => events.items.length + out.lostTotal === sentOnes,
    );
    expect(out.lostTotal).toBeGreaterThan(0);
    expect(new Set(events.items).size).toBe(events.items.length);
  });
});
