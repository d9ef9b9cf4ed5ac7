import { rmdirSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { kernelBtf } from "../../../framework/kernel/environment.ts";
import { moduleBtf, moduleNames } from "../../../framework/kernel/module-btf.ts";
import { needsKernel } from "../../support/skip.ts";
import { open } from "./open.ts";

beforeEach((context) => needsKernel(context));

/** A struct that only a loaded module has, with a number in it. */
function ownStruct(): { readonly tag: string; readonly member: string; readonly offset: number } | undefined {
  const kernel = kernelBtf()!;
  for (const name of moduleNames()) {
    const types = moduleBtf(name, kernel)!;
    for (let id = types.firstId; id < types.endId; id++) {
      const type = types.type(id);
      if (type.kind !== "struct" || !/^\w+$/.test(type.name) || kernel.findAll(type.name).length > 0)
        continue;
      const member = type.members.find(
        (candidate) =>
          candidate.name !== "" &&
          candidate.bitSize === 0 &&
          candidate.bitOffset > 0 &&
          types.kindOf(types.resolve(candidate.type)) === "int",
      );
      if (member !== undefined) return { tag: type.name, member: member.name, offset: member.bitOffset / 8 };
    }
  }
  return undefined;
}

test("structures that only a loaded module has are known by their tags", (context) => {
  const found = ownStruct();
  if (found === undefined) return context.skip("no module with types of its own is loaded");
  const { tag, member, offset } = found;
  using b = open(`
    BPF_ARRAY(places, u64, 1);
    TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) {
      struct ${tag} *p = (struct ${tag} *)0;
      u32 key = 0;
      u64 place = (u64)&p->${member};
      if ((bpf_get_current_pid_tgid() >> 32) == ${process.pid}) places.update(&key, &place);
      return p->${member} != 0;
    }`);
  expect(() => rmdirSync("/rx/no such folder")).toThrow("ENOENT");
  expect(b.get_table<number, bigint>("places").get(0)).toBe(BigInt(offset));
});
