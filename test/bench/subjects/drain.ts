// drain.js ring|perf FILE: the library's own reader, below tables and streams; counts records without copying them.
import { readFileSync } from "node:fs";
import { buildObject } from "../../../framework/bcc/pipeline.ts";
import { Scope } from "../../../framework/core/scope.ts";
import type { RawMap } from "../../../framework/runtime/types.ts";
import { openHost } from "../../../framework/runtimes.ts";
import { PERF_PAGES } from "../programs.ts";
import { answerLines, fire } from "./support.ts";

const path = process.argv[2]!;
const scope = new Scope("the measured reader");
const { runtime, environment } = openHost("kernel");
scope.own(runtime);
const source = { file: path, text: readFileSync(path, "utf8"), folder: ".", cflags: [] };
const { object } = buildObject(source, environment, { syscallTracepoint: false });
const maps = new Map<string, RawMap>();
for (const spec of object.maps) maps.set(spec.name, scope.own(runtime.createMap(spec)));
for (const spec of object.programs) {
  scope.own(runtime.attach(scope.own(runtime.loadProgram(spec, maps)), spec.target!));
}
const events = scope.own(runtime.openEvents(maps.get("output")!, { pages: PERF_PAGES, wakeupEvents: 1 }));

let count = 0;
let bytes = 0;
const onRecord = (_view: DataView, _at: number, length: number): void => {
  count++;
  bytes += length;
};

await answerLines((line) => {
  count = 0;
  bytes = 0;
  fire(Number(line));
  const begin = performance.now();
  events.drain(onRecord, () => {});
  return { seconds: (performance.now() - begin) / 1000, count, total: bytes };
});
scope[Symbol.dispose]();
