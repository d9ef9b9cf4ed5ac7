import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { StructCodec } from "../../../framework/core/layout.ts";
import { Btf } from "../../../framework/object/btf.ts";
import * as attrs from "../../../framework/uapi/bpf-attr.ts";
import { bpfBtfInfo, bpfMapInfo, bpfProgInfo } from "../../../framework/uapi/bpf-info.ts";
import * as netlink from "../../../framework/uapi/netlink.ts";
import { perfEventAttr, perfEventHeader } from "../../../framework/uapi/perf-event.ts";

const KERNEL_TYPES = "/sys/kernel/btf/vmlinux";

/** Where a struct's fields are, in bytes; fields of anonymous members count as the struct's own. */
function fieldsOf(btf: Btf, id: number, base = 0): Map<string, { offset: number; size: number }> {
  const fields = new Map<string, { offset: number; size: number }>();
  const type = btf.type(btf.resolve(id));
  if (type.kind !== "struct" && type.kind !== "union") return fields;
  for (const member of type.members) {
    const offset = base + member.bitOffset / 8;
    if (member.name !== "") fields.set(member.name, { offset, size: btf.sizeOf(member.type) });
    else for (const [name, place] of fieldsOf(btf, member.type, offset)) fields.set(name, place);
  }
  return fields;
}

describe.skipIf(!existsSync(KERNEL_TYPES))("layouts agree with the running kernel's own types", () => {
  const btf = new Btf(readFileSync(KERNEL_TYPES));

  const compare = (
    layout: StructCodec<object>,
    fields: ReadonlyMap<string, { offset: number }>,
    aliases: Readonly<Record<string, string>> = {},
  ): void => {
    for (const [name, offset] of Object.entries(layout.offsets)) {
      expect([name, fields.get(aliases[name] ?? name)?.offset]).toEqual([name, offset]);
    }
  };

  /** The member of `union bpf_attr` that has a field of this name, from the member's own start. */
  const commandWith = (field: string): ReadonlyMap<string, { offset: number }> => {
    const type = btf.type(btf.find("bpf_attr", "union"));
    if (type.kind !== "union") throw new Error("bpf_attr is no union");
    const fields = type.members.map((member) => fieldsOf(btf, member.type)).find((found) => found.has(field));
    if (fields === undefined) throw new Error(`bpf_attr has no member with ${field}`);
    return fields;
  };

  test.each([
    ["mapCreate", attrs.mapCreate, "map_type", {}],
    ["mapElem", attrs.mapElem, "next_key", {}],
    ["mapBatch", attrs.mapBatch, "in_batch", {}],
    ["progLoad", attrs.progLoad, "insn_cnt", {}],
    ["progTestRun", attrs.progTestRun, "data_size_in", {}],
    ["getNextId", attrs.getNextId, "start_id", {}],
    ["objPath", attrs.objPath, "pathname", {}],
    ["getInfo", attrs.getInfo, "info_len", {}],
    ["btfLoad", attrs.btfLoad, "btf_log_buf", {}],
    ["rawTracepointOpen", attrs.rawTracepointOpen, "cookie", {}],
    ["linkCreate", attrs.linkCreate, "iter_info", { target: "target_ifindex" }],
    ["linkCreateIter", attrs.linkCreateIter, "iter_info", { target: "target_ifindex" }],
    ["linkUpdate", attrs.linkUpdate, "new_prog_fd", {}],
    ["progAttach", attrs.progAttach, "attach_bpf_fd", {}],
    ["progQuery", attrs.progQuery, "query_flags", {}],
  ] as const)("%s", (_, layout, field, aliases) => {
    compare(layout as unknown as StructCodec<object>, commandWith(field), aliases);
  });

  test.each([
    ["bpf_prog_info", bpfProgInfo, {}],
    ["bpf_map_info", bpfMapInfo, {}],
    ["bpf_btf_info", bpfBtfInfo, {}],
    ["perf_event_header", perfEventHeader, {}],
    ["nlmsghdr", netlink.nlmsghdr, {}],
    ["nlattr", netlink.nlattr, {}],
    ["sockaddr_nl", netlink.sockaddrNl, {}],
    ["ifinfomsg", netlink.ifinfomsg, { ifi_pad: "__ifi_pad" }],
    ["tcmsg", netlink.tcmsg, { tcm_pad1: "tcm__pad1", tcm_pad2: "tcm__pad2" }],
  ] as const)("%s", (name, layout, aliases) => {
    compare(layout as unknown as StructCodec<object>, fieldsOf(btf, btf.find(name, "struct")), aliases);
  });

  test("perf_event_attr, whose flags are the bit-fields after read_format", () => {
    const fields = fieldsOf(btf, btf.find("perf_event_attr", "struct"));
    const aliases = { flags: "disabled", reserved_2: "__reserved_2" };
    compare(perfEventAttr as unknown as StructCodec<object>, fields, aliases);
  });
});
