import { expect, test } from "vitest";
import * as attrs from "../../../framework/uapi/bpf-attr.ts";
import { bpfCommands } from "../../../framework/uapi/constants.ts";
import { perfEventAttr, perfEventHeader, perfMmapPage } from "../../../framework/uapi/perf-event.ts";

test("layouts have the sizes that the kernel's structs have up to the last field used", () => {
  const sizes = Object.fromEntries(Object.entries(attrs).map(([name, layout]) => [name, layout.size]));
  expect(sizes).toEqual({
    mapCreate: 72,
    mapElem: 32,
    mapBatch: 56,
    mapFreeze: 4,
    objPath: 16,
    progLoad: 120,
    progTestRun: 72,
    getNextId: 12,
    getInfo: 16,
    rawTracepointOpen: 16,
    btfLoad: 32,
    linkCreatePerfEvent: 24,
    linkCreateUprobeMulti: 64,
    linkCreate: 16,
    linkCreateIter: 32,
    iterOverMap: 4,
    iterOverTasks: 12,
    linkCreateKprobeMulti: 48,
    iterCreate: 8,
    linkCreateTcx: 32,
    linkUpdate: 16,
    progAttach: 20,
    progQuery: 32,
  });
});

test("fields after an odd number of words are where C puts them", () => {
  expect(attrs.mapElem.offsets).toEqual({ map_fd: 0, key: 8, value: 16, flags: 24 });
  expect(attrs.progLoad.offsets).toMatchObject({
    prog_name: 48,
    expected_attach_type: 68,
    func_info: 80,
    line_info: 96,
  });
  expect(attrs.mapCreate.offsets).toMatchObject({ map_name: 28, btf_fd: 48, map_extra: 64 });
});

test("perf_event_attr is the fifth published version, 112 bytes, with its flags at 40", () => {
  expect(perfEventAttr.size).toBe(112);
  expect(perfEventAttr.offsets).toMatchObject({ flags: 40, wakeup_events: 48, config1: 56, config2: 64 });
  expect(perfEventHeader.size).toBe(8);
  expect(perfMmapPage.data_head % 8).toBe(0);
});

test("no two commands have one number", () => {
  const numbers = Object.values(bpfCommands);
  expect(new Set(numbers).size).toBe(numbers.length);
});
