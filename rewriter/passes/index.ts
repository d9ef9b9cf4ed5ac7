import type { SourceDiagnostic } from "../../framework/core/errors.ts";
import type { Btf } from "../../framework/object/btf.ts";
import type { Edit } from "../edits.ts";
import type { ExpressionTypes } from "../expressions.ts";
import type { Facts, TableFact } from "../facts.ts";
import type { Range } from "../lexer.ts";
import { callMethods } from "./call-methods.ts";
import { kernelReads } from "./kernel-reads.ts";
import { license } from "./license.ts";
import { packet } from "./packet.ts";
import { printk } from "./printk.ts";
import { probeFunctions } from "./probe-functions.ts";
import { type UsdtProgram, usdt } from "./usdt.ts";

/** A finding of a pass, by offset into the preprocessed text. */
export interface PassDiagnostic extends Range {
  readonly severity: SourceDiagnostic["severity"];
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

export interface PassResult {
  readonly edits: readonly Edit[];
  readonly diagnostics: readonly PassDiagnostic[];
}

/** What passes look at: the facts, and the tables that declaring macros made. */
export interface PassInput {
  readonly facts: Facts;
  readonly tables: ReadonlyMap<string, TableFact>;
  /** The kernel's types; asked only for names the source does not define. */
  readonly kernelTypes: () => Btf | null;
  /** Types of the source's expressions; made for the first pass that asks. */
  readonly expressions: () => ExpressionTypes;
  /** The section for a program function of BCC's dialect; null for one that keeps its name for our own loader. */
  readonly sectionOf: (name: string) => string | null;
  /** By function name, what it may read of USDT probes; under "" what functions that several programs call may. */
  readonly usdtPrograms: ReadonlyMap<string, UsdtProgram>;
}

/** A pure step of lowering. None sees another's output, so their order does not matter. */
export type Pass = (input: PassInput) => PassResult;

export const passes: readonly Pass[] = [
  callMethods,
  probeFunctions,
  printk,
  usdt,
  packet,
  kernelReads,
  license,
];
