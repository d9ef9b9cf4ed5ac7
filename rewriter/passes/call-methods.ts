import { didYouMean, nearestNames } from "../../framework/core/diagnostics.ts";
import type { Edit } from "../edits.ts";
import type { Facts, MethodCall, TableFact } from "../facts.ts";
import { firstIndex, type Range } from "../lexer.ts";
import { dropCounterOf } from "../map-definition.ts";
import { isMethod, kindHasMethod, type Method, type MethodName, methods, methodsOf } from "../methods.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

/** `counts.increment(key)` becomes `bcc_increment(&counts, (key))`. */
export function callMethods({ facts, tables }: PassInput): PassResult {
  const edits: Edit[] = [];
  const diagnostics: PassDiagnostic[] = [];
  let events = 0;
  for (const call of facts.methodCalls) {
    const table = tables.get(call.receiver);
    if (facts.isLocal(call.receiver, call.receiverRange.start)) continue;
    if (table === undefined) {
      if (isMethod(call.method) && !facts.fileNames.has(call.receiver))
        diagnostics.push(unknownTable(call, tables));
      continue;
    }
    const finding = checkCall(call, table);
    if (finding !== undefined) {
      diagnostics.push(finding);
      continue;
    }
    const method: Method = methods[call.method as MethodName];
    if (method.event !== undefined) events++;
    edits.push(...lowerCall(facts, call, method, events));
  }
  for (const { method, methodRange } of facts.declaringCalls) {
    diagnostics.push({
      ...methodRange,
      severity: "error",
      code: "DECLARING_CALL",
      message: `"${method}" is called in the declaration of a table`,
      hint: "write the type or size itself",
    });
  }
  for (const { method, methodRange } of facts.pointerCalls) {
    // A pointer to a function of the source's own may be one that the compiler knows.
    if (!isMethod(method) || new RegExp(`\\(\\s*\\*\\s*${method}\\s*\\)`).test(facts.text)) continue;
    diagnostics.push({
      ...methodRange,
      severity: "error",
      code: "POINTER_METHOD",
      message: `"${method}" is called through a pointer, and BPF programs call no functions that they find in memory`,
      hint: "call a table's methods on its name; where the table is chosen at run time, use a table of tables",
    });
  }
  return { edits, diagnostics };
}

function unknownTable(call: MethodCall, tables: ReadonlyMap<string, TableFact>): PassDiagnostic {
  const near = nearestNames(call.receiver, tables.keys());
  return {
    ...call.receiverRange,
    severity: "error",
    code: "UNKNOWN_TABLE",
    message: `no table "${call.receiver}" is declared`,
    hint: didYouMean(near) ?? `declare it at file scope, for instance BPF_HASH(${call.receiver});`,
  };
}

function checkCall(call: MethodCall, table: TableFact): PassDiagnostic | undefined {
  const { method } = call;
  if (!isMethod(method)) {
    return {
      ...call.methodRange,
      severity: "error",
      code: "UNKNOWN_METHOD",
      message: `tables have no method "${method}"`,
      hint:
        didYouMean(nearestNames(method, Object.keys(methods))) ??
        `${table.name} has ${methodsOf(table.kind).join(", ")}`,
    };
  }
  if (!kindHasMethod(table.kind, method)) {
    return {
      ...call.methodRange,
      severity: "error",
      code: "METHOD_KIND",
      message: `"${method}" is not available on ${table.kind} tables such as "${table.name}"`,
      hint: `${table.name} has ${methodsOf(table.kind).join(", ")}`,
    };
  }
  const [least, most] = methods[method].arguments;
  const given = call.arguments.length;
  if (given < least || given > most) {
    const wanted = least === most ? `${least}` : `${least} or ${most}`;
    return {
      ...call.methodRange,
      severity: "error",
      code: "ARGUMENT_COUNT",
      message: `${method} takes ${wanted} argument${most === 1 ? "" : "s"}, not ${given}`,
    };
  }
  return undefined;
}

/** The macro that tells the compiler that records of a table carry the number of the call that submitted them. */
export function tagsMacroOf(table: string): string {
  return `__RX_TAGS_${table}`;
}

/** @param event the call's number among those that submit events, from 1 */
function lowerCall(facts: Facts, call: MethodCall, method: Method, event: number): readonly Edit[] {
  const table = call.receiver;
  const leading: (string | Range)[] = [`${method.macro}(&${table}, `];
  if (method.tagged === true) leading.push(`${tagsMacroOf(table)}, `);
  if (method.event !== undefined) leading.push(`${event}, `);
  if (method.countsDrops === true) leading.push(`${dropCounterOf(table)}, `);
  if (method.event !== undefined) {
    leading.push(`__bcc_event_${event}_${table}, (`, eventType(facts, call.arguments[method.event]!), "), ");
  }
  return [
    { kind: "replace", start: call.start, end: call.open.end, text: leading },
    // Brackets keep a comma inside an argument, as in (struct key){1, 2}, from splitting it.
    ...call.arguments.map(({ start, end }): Edit => ({ kind: "wrap", start, end, before: "(", after: ")" })),
  ];
}

const CAST = /\s*\(\s*(?:const\s+)?(?:void|char|(?:__)?u8|unsigned\s+char)\s*\*\s*\)/y;

/**
 * An expression with the type of what is submitted, for `typeof` alone: the argument without casts to plain bytes.
 * An argument that calls methods itself gives no type, for its text is not lowered here.
 */
function eventType(facts: Facts, { start, end }: Range): string | Range {
  const { methodCalls } = facts;
  const inside = methodCalls[firstIndex(methodCalls.length, (index) => methodCalls[index]!.start >= start)];
  if (inside !== undefined && inside.end <= end) return "(void *)0";
  return { start: castEnd(facts.text, start), end };
}

/** Where an expression begins behind its casts to plain bytes. */
function castEnd(text: string, start: number): number {
  CAST.lastIndex = start;
  return CAST.test(text) ? castEnd(text, CAST.lastIndex) : start;
}
