import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { findClang, runClang } from "../../../framework/compile/clang.ts";
import { compileFlags, targetFlags } from "../../../framework/compile/flags.ts";
import { headersFolder } from "../../../framework/compile/preprocess.ts";
import { tracepointStruct } from "../../../framework/compile/tracepoint-types.ts";
import { Btf, type BtfMember } from "../../../framework/object/btf.ts";
import { Elf } from "../../../framework/object/elf.ts";
import { availableEvents, tracefs, tracepointFormat } from "../../../framework/sys/tracefs.ts";
import { needsKernel } from "../../support/skip.ts";

beforeEach((context) => needsKernel(context, "tracepoint"));

/** Events of one object: so many structs compile in about a second. */
const BATCH = 800;

interface Stated {
  readonly name: string;
  readonly declaration: string;
  readonly offset: number;
  readonly size: number;
  /** Null for a field of variable place, whose sign is that of what it leads to. */
  readonly signed: boolean | null;
}

/** What a format file states, read without the code under test. */
function statedFields(format: string): readonly Stated[] {
  return format.split("\n").flatMap((line) => {
    const parts = new Map(line.split(";").map((part) => part.trim().split(":", 2) as [string, string]));
    const declaration = parts.get("field");
    if (declaration === undefined) return [];
    const bare = declaration.replace(/\[.*$/, "").trim();
    const name = bare.slice(bare.search(/\w+$/));
    const isLocated = /^__(?:data|rel)_loc /.test(declaration);
    return {
      name: isLocated ? `data_loc_${declaration.slice(declaration.search(/\w+$/))}` : name,
      declaration,
      offset: Number(parts.get("offset")),
      size: Number(parts.get("size")),
      signed: isLocated ? null : parts.get("signed") === "1",
    };
  });
}

/** Types of a C text, as the compiler laid them out. */
function compiled(text: string): Btf {
  const at = (file: string, line: number, column: number) => ({ file, line, column });
  const args = [...targetFlags, ...compileFlags, "-x", "c", "-c", "-o", "-", "-"];
  const { stdout } = runClang(findClang(), args, text, at);
  return new Btf(new Elf(new Uint8Array(stdout)).section(".BTF")!.data);
}

/** How a member differs from what is stated, or undefined. */
function difference(btf: Btf, member: BtfMember | undefined, stated: Stated): string | undefined {
  if (member === undefined) return "missing";
  if (member.bitOffset !== stated.offset * 8) return `at ${member.bitOffset / 8}`;
  if (btf.sizeOf(member.type) !== stated.size) return `${btf.sizeOf(member.type)} bytes`;
  const type = btf.type(btf.resolve(member.type));
  if (type.kind === "int" && stated.signed !== null && type.signed !== stated.signed)
    return type.signed ? "signed" : "unsigned";
  return undefined;
}

describe("structs of tracepoint records", () => {
  test("those of all events of this kernel have every field at its offset, in its size and sign", () => {
    tracefs();
    const events = availableEvents().filter((event) => !event.startsWith("rxbpf_"));
    expect(events.length).toBeGreaterThan(500);
    const base = readFileSync(join(headersFolder, "base.h"), "utf8");
    const found: string[] = [];
    let fields = 0;
    for (let first = 0; first < events.length; first += BATCH) {
      const formats = events.slice(first, first + BATCH).flatMap((event, index) => {
        const [category = "", name = ""] = event.split(":");
        const format = tracepointFormat(category, name);
        return format === undefined ? [] : [{ event, format, tag: `event_${index}` }];
      });
      const structs = formats.map(
        ({ format, tag }) => `${tracepointStruct(tag, format)} struct ${tag} of_${tag};`,
      );
      const btf = compiled([base, ...structs].join("\n"));
      for (const { event, format, tag } of formats) {
        const type = btf.type(btf.find(tag, "struct"));
        const members = new Map(type.kind === "struct" ? type.members.map((one) => [one.name, one]) : []);
        for (const stated of statedFields(format)) {
          fields++;
          const reason = difference(btf, members.get(stated.name), stated);
          if (reason !== undefined)
            found.push(`${event} ${stated.declaration} @${stated.offset}+${stated.size}: ${reason}`);
        }
      }
    }
    expect(fields).toBeGreaterThan(5000);
    expect(found).toEqual([]);
  });
});
