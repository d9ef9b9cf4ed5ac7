import { expect, test } from "vitest";
import { placeTracepoint } from "../../../framework/programs/targets.ts";

const events = ["sched:sched_switch", "my__driver:start", "net:rx__done", "a:b__c", "a__b:c"];
const exists = (category: string, name: string): boolean => events.includes(`${category}:${name}`);

test.each([
  ["sched", "sched_switch", "sched:sched_switch"],
  ["my", "driver__start", "my__driver:start"],
  ["net", "rx__done", "net:rx__done"],
  ["a", "b__c", "a:b__c"],
  ["no", "such__event", "no:such__event"],
  ["my", "", "my:"],
])("%s and %s, cut at the first double underscore, mean %s", (category, name, expected) => {
  const place = placeTracepoint({ category, name }, exists);
  expect(`${place.category}:${place.name}`).toBe(expected);
});
