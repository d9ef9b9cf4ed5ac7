import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type IteratorDeclaration,
  MapError,
  type TableDeclaration,
  type VariableDeclaration,
} from "../../../framework/index.ts";
import { typeErrors } from "../../examples/blocks.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "../bcc/open.ts";

const command = fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url));

const SOURCE = `
enum mode { READING, WRITING = 7 };
typedef struct { s32 x, y; } point_t;
struct key_t { u32 pid; char comm[16]; };
struct value_t { u64 count; u8 mac[6]; union { u32 v4; u8 v6[16]; }; point_t at[2]; enum mode mode; bool class; };
struct event_t { u64 ts; u32 flag : 3; char name[]; };
struct other_t { u16 port; };
BPF_HASH(counts, struct key_t, struct value_t);
BPF_PERCPU_ARRAY(cpus, u32, 4);
BPF_QUEUE(waiting, point_t, 4);
BPF_RINGBUF_OUTPUT(events, 8);
BPF_RINGBUF_OUTPUT(both, 8);
BPF_STACK_TRACE(stacks, 16);
BPF_PROG_ARRAY(steps, 4);
BPF_TASK_STORAGE(notes, u64);
BPF_DEVMAP(ports, 4);
BPF_HASH_OF_MAPS(nested, u64, "cpus_like", 4);
BPF_ARRAY(cpus_like, u32, 4);
BPF_CGROUP_ARRAY(groups, 2);
BPF_PERF_ARRAY(clock, 64);
BPF_PERF_OUTPUT(silent);
BPF_LPM_TRIE(routes, struct key_t, u32);
BPF_PERCPU_HASH(each, u32, struct other_t);
BPF_STACK(last_ones, struct other_t, 4);
BPF_TABLE("bloom_filter", int, struct other_t, known, 100);
BPF_TABLE("devmap_hash", u32, int, by_number, 4);
BPF_SOCKHASH(connections, struct key_t, 4);
BPF_SK_STORAGE(sockets, struct other_t);
BPF_TABLE("user_ringbuf", int, struct other_t, orders, 4096);
int limit = 4;
struct other_t last = {};
int f(struct bpf_raw_tracepoint_args *ctx) {
  struct event_t e = { .ts = 5, .flag = 3 };
  struct other_t o = { .port = limit };
  events.ringbuf_output(&e, sizeof(e), 0);
  both.ringbuf_output(&e, sizeof(e), 0);
  both.ringbuf_output(&o, sizeof(o), 0);
  struct key_t key = { .pid = 9 };
  struct value_t value = { .count = 1, .mode = WRITING };
  counts.update(&key, &value);
  last = o;
  return 0;
}
struct task_t { u32 pid; char comm[16]; };
struct end_t { u64 seen; };
BPF_ITER(task) {
  struct task_struct *task = ctx->task;
  struct task_t record = {};
  if (!task || task->pid != task->tgid) return 0;
  record.pid = task->pid;
  bpf_probe_read_kernel_str(&record.comm, sizeof(record.comm), task->comm);
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
BPF_ITER(task_file) {
  struct end_t record = { .seen = ctx->meta->seq_num };
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
`;

/** What scripts may write about these tables, and what they may not. */
const USES = `
import { BPF } from "rxbpf";
const b = new BPF({ text: "" });
const counts = b.get_table(tables.counts);
for (const [key, value] of counts) {
  const pid: number = key.pid;
  const comm: string = key.comm;
  const count: bigint = value.count;
  const mac: Uint8Array = value.mac;
  const x: number = value.at[1]!.x + value.v4 + value.v6.length;
  const same: boolean = value.mode === mode.WRITING && value.class;
  console.log(pid, comm, count, mac, x, same);
  // @ts-expect-error there is no such field
  console.log(key.tid);
  // @ts-expect-error 64 bits are bigint
  const small: number = value.count;
  console.log(small);
}
counts.delete({ pid: 1, comm: "sh" });
// @ts-expect-error keys are records
counts.get(1);
b.get_table(tables.events).events().subscribe(({ ts, flag, name }) => console.log(ts + 1n, flag + 1, name.trim()));
b.get_table(tables.both).events().subscribe((event) => console.log("port" in event ? event.port : event.ts));
const all: number[] | undefined = b.get_table(tables.cpus).get(0);
const head: point_t | undefined = b.get_table(tables.waiting).pop();
const note: bigint | undefined = b.get_table(tables.notes).get(1);
const last: other_t = b.variable(variables.last).get();
b.variable(variables.limit).set(5);
// @ts-expect-error the variable is a number
b.variable(variables.limit).set("5");
b.get_table(tables.nested).set(1n, b.get_table(tables.cpus));
b.get_table(tables.ports).set(0, "lo");
for (const frame of b.get_table(tables.stacks).walk(1)) console.log(frame);
// @ts-expect-error a queue has no keys
b.get_table(tables.waiting).keys();
for (const [cpu, count] of b.get_table(tables.clock).open_perf_event(1, 0).values()) console.log(cpu + 1, count + 1n);
// @ts-expect-error counters send no records
b.get_table(tables.clock).events();
b.get_table(tables.silent).events().subscribe((bytes) => console.log(bytes.length));
const width: number | undefined = b.get_table(tables.routes).get({ pid: 8, comm: "" });
const ports: other_t[] | undefined = b.get_table(tables.each).get(1);
const top: other_t | undefined = b.get_table(tables.last_ones).peek();
const known: boolean = b.get_table(tables.known).add({ port: 1 }).has({ port: 1 });
b.get_table(tables.by_number).set(70_000, "lo");
b.get_table(tables.connections).set({ pid: 1, comm: "" }, { fd: 3 });
const marked: other_t | undefined = b.get_table(tables.sockets).get(3);
b.get_table(tables.orders).send({ port: 1 });
for (const { pid, comm } of b.iterator(iterators.bpf_iter__task)) console.log(pid + 1, comm.trim());
const seen: readonly end_t[] = b.iterator(iterators.bpf_iter__task_file, { tid: 1 }).records();
// @ts-expect-error records of tasks count nothing
console.log(b.iterator(iterators.bpf_iter__task).records()[0]?.seen);
console.log(width, ports, top, known, marked, seen);
const key: key_t = { pid: 1, comm: "" };
console.log(all, head, note, last, key, b.get_table(tables.steps).size, b.get_table(tables.groups).size);
`;

interface Written {
  readonly tables: Readonly<Record<string, TableDeclaration>>;
  readonly variables: Readonly<Record<string, VariableDeclaration>>;
  readonly iterators: Readonly<Record<string, IteratorDeclaration<{ pid: number }>>>;
}

let folder: string;
let text: string;
let written: Written;

function types(args: readonly string[], input = "") {
  return spawnSync(process.execPath, [command, "types", ...args], { encoding: "utf8", input, cwd: folder });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "rxbpf-types-"));
  writeFileSync(join(folder, "main.c"), SOURCE);
  const { status, stderr } = types(["main.c", "-o", "main.ts"]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  text = readFileSync(join(folder, "main.ts"), "utf8");
  written = (await import(join(folder, "main.ts"))) as Written;
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe("rxbpf types", () => {
  test("writes declarations under which TypeScript takes right uses and refuses wrong ones", () => {
    expect(typeErrors("main", [{ heading: "", language: "ts", line: 0, text: `${text}${USES}` }])).toEqual(
      [],
    );
  }, 120_000);

  test("writes the same from standard input to standard output", () => {
    const { status, stdout } = types(["-"], SOURCE);
    expect(status).toBe(0);
    expect(stdout).toBe(text.replace("rxbpf types main.c", "rxbpf types -"));
  });

  test("passes --cflag on", () => {
    const { stdout } = types(["-", "--cflag=-DVALUE=u32"], "BPF_HASH(t, u64, VALUE);");
    expect(stdout).toContain("readonly t: TableDeclaration<KeyedTable<bigint, number>>;");
  });

  test("leaves out the counters that the lowering adds", () => {
    expect(Object.keys(written.variables).sort()).toEqual(["last", "limit"]);
  });

  test("exits with 1 and the finding when the source is at fault", () => {
    const { status, stdout, stderr } = types(["-"], "BPF_HASH(t, struct missing);");
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("<stdin>:1");
  });

  test.each([
    [[], "give one source file"],
    [["a.c", "b.c"], "give one source file"],
    [["nowhere.c"], "cannot read nowhere.c"],
    [["main.c", "-o", "no/such/folder.ts"], "cannot write no/such/folder.ts"],
    [["main.c", "--json"], "--json"],
  ] as const)("exits with 2 for the arguments %j", (args, words) => {
    const { status, stderr } = types(args);
    expect(status).toBe(2);
    expect(stderr).toContain(words);
  });
});

describe("a declaration", () => {
  beforeEach((context) => needsKernel(context));

  test("opens its table and variable, as long as the source is the same", () => {
    using b = open(SOURCE);
    const { tables, variables } = written;
    const got: unknown[] = [];
    const events = b.get_table(tables["events"]!.name);
    expect(b.get_table(tables["events"]!)).toBe(events);
    events.open_ring_buffer((_, data) => got.push(events.event(data)));
    run(b, "f");
    b.ring_buffer_consume();
    expect(got).toEqual([{ ts: 5n, flag: 3, name: "" }]);
    for (const declaration of Object.values(tables))
      expect(b.get_table(declaration).name).toBe(declaration.name);
    expect(b.variable(variables["last"]!).get()).toEqual({ port: 4 });
  });

  test.each([
    [
      "a key's",
      "struct key_t { u32 pid;",
      "struct key_t { u64 pid;",
      "counts",
      "key",
      ["at 0 pid: u32", "at 0 pid: u64"],
    ],
    ["a value's", "u64 count;", "s64 count;", "counts", "value", ["at 0 count: u64", "at 0 count: s64"]],
    ["a field's name in", "u8 mac[6]", "u8 address[6]", "counts", "value", ["mac: u8[6]", "address: u8[6]"]],
    ["an enumerator in", "WRITING = 7", "WRITING = 8", "counts", "value", ["WRITING 7", "WRITING 8"]],
    ["a record inside", "{ s32 x, y; }", "{ s32 y, x; }", "waiting", "value", ["at 0 x: s32", "at 0 y: s32"]],
    ["a bit field of a record's", "flag : 3", "flag : 4", "events", "record", ["3 bits", "4 bits"]],
  ] as const)("is refused with both layouts after %s change", (_, before, after, table, part, lines) => {
    using b = open(SOURCE.replace(before, after));
    const error = failure(MapError, () => b.get_table(written.tables[table]!));
    expect(error.code).toBe("MAP_MISMATCH");
    expect(error.message).toContain(
      `table "${table}" is not as its declaration says: its ${part} is another`,
    );
    const [declared, loaded] = error.message.split("loaded:");
    expect(declared).toContain(lines[0]);
    expect(loaded).toContain(lines[1]);
    expect(error.hint).toContain("rxbpf types");
  });

  test("makes its iterator, unless what that writes has changed", () => {
    const task = written.iterators["bpf_iter__task"]!;
    using b = open(SOURCE);
    expect(
      b
        .iterator(task)
        .records()
        .map(({ pid }) => pid),
    ).toContain(process.pid);
    using other = open(SOURCE.replace("struct task_t { u32 pid;", "struct task_t { u64 pid;"));
    const { code, message } = failure(MapError, () => other.iterator(task));
    expect(code).toBe("MAP_MISMATCH");
    expect(message).toContain(
      'iterator "bpf_iter__task" is not as its declaration says: its record is another',
    );
    const [declared, loaded] = message.split("loaded:");
    expect(declared).toContain("at 0 pid: u32");
    expect(loaded).toContain("at 0 pid: u64");
  });

  test("is refused for another kind of table, and for another variable", () => {
    using b = open(
      SOURCE.replace("BPF_QUEUE(waiting, point_t, 4)", "BPF_HASH(waiting, u32, point_t, 4)").replace(
        "int limit = 4",
        "u32 limit = 4",
      ),
    );
    expect(failure(MapError, () => b.get_table(written.tables["waiting"]!)).message).toContain(
      "it was a queue and is a hash",
    );
    const { message } = failure(MapError, () => b.variable(written.variables["limit"]!));
    expect(message).toContain("declared:\n  s32\nloaded:\n  u32");
  });

  test("goes with another kind of the same methods, and with another size", () => {
    using b = open(
      SOURCE.replace(
        "BPF_HASH(counts, struct key_t, struct value_t)",
        'BPF_TABLE("lru_hash", struct key_t, struct value_t, counts, 64)',
      ),
    );
    expect(b.get_table(written.tables["counts"]!).kind).toBe("lru_hash");
  });
});
