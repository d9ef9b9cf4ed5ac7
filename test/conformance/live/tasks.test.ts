import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BPF } from "../../../framework/index.ts";
import { stateOf, tracerOf, until } from "../../support/commands.ts";
import { Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { LIVES, OPENAT, TELLING, type Told, type ToldOfCommand, toldBy } from "./told.ts";

const workshop = new Workshop();
const tasks = workshop.make("tasks", { source: "tasks.c", link: ["-static"] });
const folder = mkdtempSync(join(tmpdir(), "rxbpf-tasks-"));
afterAll(() => {
  workshop[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const SOURCE = LIVES + OPENAT;

/** What a command and all that it starts did from its first exec on, tasks numbered as they appear: 0 is the first. */
function story(told: readonly ToldOfCommand[]): readonly string[] {
  const begin = told.findIndex(({ isOwn, text }) => isOwn && text === tasks);
  const numbers = new Map([[told[begin]!.pid, 0]]);
  const name = (id: number | bigint): string => `${numbers.get(Number(id)) ?? "somebody"}`;
  const lines: string[] = [];
  for (const { pid, tid, b, comm, text } of told.slice(begin)) {
    if (!numbers.has(tid)) continue;
    if (text === "fork") numbers.set(Number(b), numbers.size);
    const who = pid === tid ? name(tid) : `${name(tid)} of ${name(pid)}`;
    const other = text === "fork" ? ` ${name(b)}` : text === "/bin/cat" ? `, once ${name(b)}` : "";
    lines.push(`${who} ${comm}: ${text}${other}`);
  }
  return lines;
}

/** Leaves out the files that the C library opens, whose paths the kernel's programs cannot always read. */
function withoutLibraries(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => !/cat: (?:$|.*(?:\.so|\.cache|locale))/.test(line));
}

const CHILD = [
  ...["0 tasks: fork 1", "1 tasks: /dev/null", "1 cat: /bin/cat, once 1"],
  ...["1 cat: /etc/hostname", "1 cat: exit"],
];

const WAYS: readonly (readonly [name: string, letter: string, lines: readonly string[]])[] = [
  ["vfork", "v", CHILD],
  ["posix_spawn", "s", CHILD],
  [
    "a grandchild",
    "g",
    [
      ...["0 tasks: fork 1", "1 tasks: fork 2", "2 tasks: /dev/null", "2 cat: /bin/cat, once 2"],
      ...["2 cat: /etc/hostname", "2 cat: exit", "1 tasks: exit"],
    ],
  ],
  [
    "the second thread of a child",
    "t",
    [
      ...["0 tasks: fork 1", "1 tasks: fork 2", "2 of 1 tasks: /dev/null", "1 tasks: exit"],
      ...["1 cat: /bin/cat, once 2", "1 cat: /etc/hostname", "1 cat: exit"],
    ],
  ],
];

describe.each(WAYS)("a command that is started by %s", (_name, letter, lines) => {
  const command = [tasks, letter, "/bin/cat", "/etc/hostname"];

  test("is seen with its process, thread and name, before and after it is one", async () => {
    const told = withoutLibraries(story(await toldBy(SOURCE, command)));
    expect(told).toEqual([`0 tasks: ${tasks}`, ...lines, "0 tasks: exit"]);
  });

  test("is seen so by the kernel's programs as well", async (context) => {
    needsKernel(context);
    const isLast = ({ isOwn, text, comm }: ToldOfCommand): boolean =>
      isOwn && comm === "tasks" && text === "exit";
    const kernel = story(await toldBy(SOURCE, command, { runtime: "kernel", isLast }));
    expect(withoutLibraries(kernel)).toEqual(withoutLibraries(story(await toldBy(SOURCE, command))));
  });
});

test("a child in a session of its own outlives the command, and is seen to its end", async () => {
  const sign = join(folder, "go on");
  using b = new BPF({ runtime: "machine", text: TELLING + SOURCE });
  const seen: Told[] = [];
  b.get_table<never, Told>("told")
    .events()
    .subscribe((event) => seen.push(event));
  const inner = `until test -e "${sign}"; do sleep 0.02; done; exec cat /etc/hostname`;
  const { pid, exited } = b.spawn("sh", ["-c", `setsid sh -c '${inner}' & exit 6`], { stdio: "ignore" });
  expect(await exited).toEqual({ code: 6, signal: null });
  const child = Number(seen.find((event) => event.pid === pid && event.text === "fork")!.b);
  await until("it waits", () => "SRDt".includes(stateOf(child) || "-"));
  expect([stateOf(pid), tracerOf(child) !== 0]).toEqual(["", true]);
  writeFileSync(sign, "");
  await until("its end", () => seen.some((event) => event.pid === child && event.text === "exit"));
  const last = seen.filter((event) => event.pid === child).map(({ comm, text }) => `${comm} ${text}`);
  expect(last.at(-2)).toBe("cat /etc/hostname");
  expect(last.at(-1)).toBe("cat exit");
});
