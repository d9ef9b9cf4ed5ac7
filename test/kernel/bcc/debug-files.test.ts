import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { AttachError, BPF } from "../../../framework/index.ts";
import { Target, Workshop } from "../../support/native.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const workshop = new Workshop();
afterAll(() => workshop[Symbol.dispose]());
beforeEach((context) => needsKernel(context, "uprobe"));

const COUNT = `
  BPF_ARRAY(calls, u64, 1);
  int count(struct pt_regs *ctx) { calls.atomic_increment(0); return 0; }`;

const BUILD = "0123456789abcdef0123456789abcdef01234567";
const OTHER_BUILD = "f".repeat(40);

/** A program that names a debug file, in a folder of its own. */
function make(folder: string, name: string, { build = BUILD, link = [] as readonly string[] } = {}): string {
  mkdirSync(`${workshop.folder}/${folder}`, { recursive: true });
  return workshop.make(`${folder}/${name}`, {
    source: "calls.c",
    flags: ['-DDEBUG_LINK="calls.debug"'],
    link: ["-pie", `--build-id=0x${build}`, ...link],
  });
}

/** The same without symbols. */
const stripped = (folder: string): string => make(folder, "calls", { link: ["--strip-all"] });

/** How often a static function, which only the debug file knows, is seen called when it is called twice. */
async function seen(program: string, target: Target): Promise<unknown> {
  using b = open(COUNT);
  b.attach_uprobe({ name: program, sym: "hidden", fn_name: "count", pid: target.pid });
  await target.run("hthg");
  return b.get_table("calls").values()[0];
}

describe("functions of a program without symbols are found in its debug file", () => {
  test.each(["", ".debug/"])("beside it, in %j, by the name in .gnu_debuglink", async (place) => {
    const folder = place === "" ? "beside" : "below";
    const program = stripped(folder);
    make(`${folder}/${place}`, "calls.debug");
    using target = new Target(program);
    expect(await seen(program, target)).toBe(2n);
    using b = open(COUNT);
    // Its code is in the program, and where that begins in the debug file. 2 is inside on all machines.
    const inside = { name: program, sym: "hidden", sym_off: 2, fn_name: "count" };
    expect(failure(AttachError, () => b.attach_uprobe(inside)).message).toContain("hidden+0x2 of");
    expect(BPF.get_user_functions(program, "(hidden|twice)$")).toEqual(
      expect.arrayContaining(["hidden", "twice"]),
    );
  });

  test("in the process's own /usr/lib/debug, by build id", async (context) => {
    if (spawnSync("unshare", ["-m", "true"]).status !== 0) context.skip("no mount namespaces here");
    if (!existsSync("/usr/lib/debug")) context.skip("no /usr/lib/debug to mount on");
    const program = stripped("inside");
    const symbols = make("inside", "full");
    const place = `/usr/lib/debug/.build-id/${BUILD.slice(0, 2)}`;
    const script = `mount -t tmpfs none /usr/lib/debug && mkdir -p ${place} &&
      cp ${symbols} ${place}/${BUILD.slice(2)}.debug && exec ${program}`;
    using target = new Target("unshare", ["-m", "sh", "-c", script]);
    await target.run("t");
    expect(await seen(program, target)).toBe(2n);
  });
});

describe("a debug file is left alone", () => {
  const refused = (program: string): AttachError => {
    using b = open(COUNT);
    return failure(AttachError, () => b.attach_uprobe({ name: program, sym: "hidden", fn_name: "count" }));
  };

  test("when it is of another build", () => {
    const program = stripped("other");
    make("other", "calls.debug", { build: OTHER_BUILD });
    const error = refused(program);
    expect(error.message).toContain("has no function hidden");
    expect(error.hint).toContain("install its debug symbols");
  });

  test("when it is no program", () => {
    const program = stripped("damaged");
    copyFileSync(new URL(import.meta.url), `${workshop.folder}/damaged/calls.debug`);
    expect(refused(program).message).toContain("has no function hidden");
  });
});

test("functions that a library exports are found without any other symbols, and no others", () => {
  const library = workshop.make("lib.so", {
    source: "calls.c",
    flags: ["-DLIBRARY"],
    link: ["-shared", "--strip-all"],
  });
  expect(BPF.get_user_functions(library, "(hidden|twice|sum_of)$")).toEqual(["twice", "sum_of"]);
});
