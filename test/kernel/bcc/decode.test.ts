import { beforeEach, describe, expect, test } from "vitest";
import { LayoutError } from "../../../framework/index.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";

/** What one submitted value of a C type decodes to. */
function decoded(declarations: string, type: string, initial: string): unknown {
  using b = open(`${declarations}
    BPF_PERF_OUTPUT(out);
    int f(${CTX}) { ${type} value = ${initial}; out.perf_submit(ctx, &value, sizeof(value)); return 0; }`);
  const out = b.get_table("out");
  const events: unknown[] = [];
  out.open_perf_buffer((_, data) => events.push(out.event(data)));
  run(b, "f");
  b.perf_buffer_consume();
  expect(events).toHaveLength(1);
  return events[0];
}

describe("events decode by the type that the program submits", () => {
  beforeEach((context) => needsKernel(context));

  test.each([
    ["u8", "255", 255],
    ["s8", "-128", -128],
    ["u16", "65535", 65_535],
    ["s16", "-32768", -32_768],
    ["u32", "0xffffffff", 4_294_967_295],
    ["s32", "-2147483647 - 1", -2_147_483_648],
    ["u64", "0xffffffffffffffffULL", 2n ** 64n - 1n],
    ["s64", "-1", -1n],
    ["long", "-2", -2n],
    ["unsigned long long", "9", 9n],
    ["int", "-3", -3],
    ["pid_t", "17", 17],
    ["bool", "1", true],
    ["void *", "(void *)0x1234", 0x1234n],
    ["enum color", "GREEN", 5],
  ])("%s", (type, initial, expected) => {
    expect(decoded("enum color { RED = 4, GREEN };", type, initial)).toBe(expected);
  });

  test("nested structs, arrays, text and bytes", () => {
    const value = decoded(
      `struct inner { u16 low; u16 high; };
       struct data_t { struct inner pair; struct inner list[2]; char text[6]; u8 raw[3]; u64 big; s32 numbers[2]; };`,
      "struct data_t",
      `{ .pair = { 1, 2 }, .list = { { 3, 4 }, { 5, 6 } }, .text = "abc", .raw = { 7, 8, 9 }, .big = 1ULL << 60,
         .numbers = { -1, 1 } }`,
    );
    expect(value).toEqual({
      pair: { low: 1, high: 2 },
      list: [
        { low: 3, high: 4 },
        { low: 5, high: 6 },
      ],
      text: "abc",
      raw: Uint8Array.of(7, 8, 9),
      big: 2n ** 60n,
      numbers: [-1, 1],
    });
  });

  test("bit fields, unions, anonymous members and packed structs", () => {
    const value = decoded(
      `struct __attribute__((packed)) data_t {
         u8 kind; u32 four : 4, high : 28; union { u32 word; u8 bytes[4]; }; struct { u16 inside; }; };`,
      "struct data_t",
      "{ .kind = 1, .four = 9, .high = 100, .word = 0x04030201, .inside = 6 }",
    );
    expect(value).toEqual({
      kind: 1,
      four: 9,
      high: 100,
      word: 0x04030201,
      bytes: Uint8Array.of(1, 2, 3, 4),
      inside: 6,
    });
  });

  test("text without NUL is whole, and UTF-8 comes out as text", () => {
    expect(decoded("struct data_t { char text[4]; };", "struct data_t", '{ .text = "abcd" }')).toEqual({
      text: "abcd",
    });
    expect(decoded("struct data_t { char text[8]; };", "struct data_t", '{ .text = "Zoë" }')).toEqual({
      text: "Zoë",
    });
  });

  test("a typedef without tag decodes as its struct", () => {
    expect(decoded("typedef struct { u32 a; } data_t;", "data_t", "{ 4 }")).toEqual({ a: 4 });
  });

  test("a record shorter than its type is a LAYOUT error that names the table and both sizes", () => {
    using b = open(`struct data_t { u64 a, b; };
      BPF_PERF_OUTPUT(out);
      int f(${CTX}) { struct data_t data = {}; out.perf_submit(ctx, &data, 4); return 0; }`);
    const out = b.get_table("out");
    const records: Uint8Array[] = [];
    out.open_perf_buffer((_, data) => records.push(data));
    run(b, "f");
    b.perf_buffer_consume();
    const error = failure(LayoutError, () => out.event(records[0]!));
    expect(error.message).toBe('a record of "out" has 4 bytes, and its type takes 16');
  });

  test("an array without a length at the end has what the record has", async () => {
    using b = open(`
      struct line { u32 from; char text[]; };
      struct path { u8 hops; struct hop { u16 port; u8 mac[6]; } list[]; };
      struct wrapped { u64 id; struct line line; };
      BPF_RINGBUF_OUTPUT(lines, 1);
      BPF_RINGBUF_OUTPUT(paths, 1);
      BPF_RINGBUF_OUTPUT(wraps, 1);
      BPF_RINGBUF_OUTPUT(both, 1);
      int f(${CTX}) {
        char buffer[32] = {};
        struct line *line = (struct line *)buffer;
        line->from = 7;
        __builtin_memcpy(line->text, "hello", 5);
        lines.ringbuf_output(line, 9, 0);
        both.ringbuf_output(line, 7, 0);
        char room[32] = {};
        struct path *path = (struct path *)room;
        path->hops = 2;
        path->list[1].port = 80;
        path->list[1].mac[5] = 9;
        paths.ringbuf_output(path, 18, 0);
        both.ringbuf_output(path, 10, 0);
        char more[32] = {};
        struct wrapped *wrapped = (struct wrapped *)more;
        wrapped->id = 3;
        wrapped->line.from = 4;
        wrapped->line.text[0] = 'x';
        wraps.ringbuf_output(wrapped, 14, 0);
        return 0;
      }`);
    const got: Record<string, unknown> = {};
    for (const name of ["lines", "paths", "wraps", "both"]) {
      const table = b.get_table(name);
      table.open_ring_buffer((_, data) => {
        got[name] = [...((got[name] as unknown[]) ?? []), table.event(data)];
      });
    }
    run(b, "f");
    b.ring_buffer_consume();
    const hop = (port: number, last: number) => ({ port, mac: Uint8Array.of(0, 0, 0, 0, 0, last) });
    expect(got).toEqual({
      lines: [{ from: 7, text: "hello" }],
      paths: [{ hops: 2, list: [hop(0, 0), hop(80, 9)] }],
      wraps: [{ id: 3n, line: { from: 4, text: "x" } }],
      both: [
        { from: 7, text: "hel" },
        { hops: 2, list: [hop(0, 0)] },
      ],
    });
  });
});
