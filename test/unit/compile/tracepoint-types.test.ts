import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findClang, runClang } from "../../../framework/compile/clang.ts";
import { targetFlags } from "../../../framework/compile/flags.ts";
import { headersFolder } from "../../../framework/compile/preprocess.ts";
import { parseFormat, tracepointStruct } from "../../../framework/compile/tracepoint-types.ts";
import { CompileError } from "../../../framework/core/errors.ts";

const base = readFileSync(join(headersFolder, "base.h"), "utf8");

/** Compiles C behind the base header; what clang refuses, one message each. */
function refusals(text: string): readonly string[] {
  const args = [...targetFlags, "-ferror-limit=0", "-fsyntax-only", "-x", "c", "-"];
  try {
    runClang(findClang(), args, `${base}\n# 1 "test"\n${text}`, (file, line, column) => ({
      file,
      line,
      column,
    }));
    return [];
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return error.diagnostics.map((finding) => finding.message);
  }
}

/** The name BCC gives a field's member. */
function memberOf(declaration: string): string {
  const name = /(\w+)\s*(?:\[[^\]]*\]\s*)*$/.exec(declaration)?.[1] ?? "";
  return /^__(?:data|rel)_loc\b/.test(declaration) ? `data_loc_${name}` : name;
}

/** Assertions that a struct has every field of a format where it says. */
function assertions(tag: string, format: string): readonly string[] {
  return parseFormat(format).flatMap(({ declaration, offset, size }) => {
    const member = memberOf(declaration);
    const place = `"${tag}.${member} is at ${offset} with ${size} bytes"`;
    const isSized = `sizeof(((struct ${tag} *)0)->${member}) == ${size}`;
    return [
      `_Static_assert(__builtin_offsetof(struct ${tag}, ${member}) == ${offset} && ${isSized}, ${place});`,
    ];
  });
}

function structAndAssertions(tag: string, format: string): string {
  return `${tracepointStruct(tag, format)}\n${assertions(tag, format).join("\n")}`;
}

const format = (...fields: string[]) =>
  `name: made\nID: 7\nformat:\n${fields.map((field) => `\tfield:${field}`).join("\n")}\n`;

describe("the struct of a tracepoint's record", () => {
  test("has members of the stated sizes at the stated offsets, whatever their types say", () => {
    const text = format(
      "unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;",
      "int common_pid;\toffset:4;\tsize:4;\tsigned:1;",
      "const int flags;\toffset:8;\tsize:8;\tsigned:0;",
      "enum state state;\toffset:16;\tsize:1;\tsigned:0;",
      "pid_t pid;\toffset:17;\tsize:4;\tsigned:1;",
      "struct unknown * pointer;\toffset:24;\tsize:8;\tsigned:0;",
      "struct unknown by_value;\toffset:32;\tsize:12;\tsigned:0;",
      "char comm[16];\toffset:44;\tsize:16;\tsigned:0;",
      "u32 numbers[4];\toffset:60;\tsize:16;\tsigned:0;",
      "unknown_t others[NAMED];\toffset:76;\tsize:6;\tsigned:0;",
      "__data_loc char[] name;\toffset:84;\tsize:4;\tsigned:1;",
      "__rel_loc u32[] words;\toffset:88;\tsize:4;\tsigned:1;",
      "char args[];\toffset:92;\tsize:0;\tsigned:0;",
    );
    expect(refusals(structAndAssertions("made", text))).toEqual([]);
  });

  test("has signed members where the format says so", () => {
    const text = format(
      "long ret;\toffset:8;\tsize:8;\tsigned:1;",
      "umode_t mode;\toffset:16;\tsize:2;\tsigned:0;",
    );
    const signs =
      '_Static_assert((typeof(((struct made *)0)->ret))-1 < 0, "");\n_Static_assert((typeof(((struct made *)0)->mode))-1 > 0, "");';
    expect(refusals(`${tracepointStruct("made", text)}\n${signs}`)).toEqual([]);
  });

  test("keeps pointers to characters as pointers to characters", () => {
    const text = format(
      "const char * filename;\toffset:16;\tsize:8;\tsigned:0;",
      "const char *const * argv;\toffset:24;\tsize:8;\tsigned:0;",
    );
    const use = "char first(struct made *args) { return args->filename[0] + args->argv[0][0]; }";
    expect(refusals(`${tracepointStruct("made", text)}\n${use}`)).toEqual([]);
  });

  test("of an unreadable format has no members", () => {
    expect(refusals(tracepointStruct("made", "nothing of the kind"))).toEqual([]);
  });
});

const PLACES = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];

/** Format files of the running kernel by "category__event"; undefined where they cannot be read. */
function readFormats(): ReadonlyMap<string, string> | undefined {
  for (const place of PLACES) {
    try {
      const found = new Map<string, string>();
      for (const category of readdirSync(place, { withFileTypes: true }).filter((entry) =>
        entry.isDirectory(),
      )) {
        for (const event of readdirSync(join(place, category.name), { withFileTypes: true })) {
          if (!event.isDirectory()) continue;
          found.set(
            `${category.name}__${event.name}`,
            readFileSync(join(place, category.name, event.name, "format"), "utf8"),
          );
        }
      }
      if (found.size > 0) return found;
    } catch {
      // Not mounted there, or not for this user.
    }
  }
  return undefined;
}

test("every tracepoint of the running kernel has the struct that its format file states", (context) => {
  const formats = readFormats();
  if (formats === undefined) return context.skip("tracefs is not mounted or cannot be read");
  const texts = [...formats].map(([name, text]) => structAndAssertions(`tracepoint__${name}`, text));
  expect(refusals(texts.join("\n"))).toEqual([]);
  expect(texts.length).toBeGreaterThan(100);
});
