import type { SyntaxNode } from "./parser.ts";

/** A C type as far as telling loads apart needs it. */
export type CType =
  /** Size in bytes; 0 where it is not known. */
  | { readonly kind: "scalar"; readonly size: number; readonly isSigned: boolean }
  | { readonly kind: "pointer"; readonly to: CType /** Marked __user. */; readonly isUser: boolean }
  /** Length in elements; undefined where it is not known. */
  | { readonly kind: "array"; readonly of: CType; readonly length: number | undefined }
  | { readonly kind: "record"; readonly record: RecordType }
  | { readonly kind: "unknown" };

/** A struct or union. There is one of these objects for each definition. */
export interface RecordType {
  readonly name: string;
  /**
   * Whose definition it is; "context" for what a program's first parameter may point to, "packet" for a packet header
   * of the source's: a pointer to one is an offset.
   */
  readonly origin: "user" | "kernel" | "context" | "packet";
  /** Its definition in the source; none for the kernel's. */
  readonly definition?: SyntaxNode | undefined;
  /** In bytes; undefined where it is not known. */
  readonly size: number | undefined;
  readonly align: number | undefined;
  /** A member by name, also inside anonymous members. */
  member(name: string): MemberType | undefined;
  /** Members in the order of the definition; "" for anonymous ones. */
  names(): readonly string[];
}

export interface MemberType {
  readonly type: CType;
  /** Bits from the record's start; undefined where that is not known. */
  readonly offset: number | undefined;
  /** Of a bit field; undefined for all others. */
  readonly bits?: BitPlace | undefined;
}

export interface BitPlace {
  /** Bits from the record's start; undefined where the members before it have sizes that are not known. */
  readonly offset: number | undefined;
  readonly size: number;
  readonly isSigned: boolean;
}

export const unknown: CType = { kind: "unknown" };
/** A number of a size that does not matter. */
export const scalar: CType = { kind: "scalar", size: 0, isSigned: true };

/** What a pointer or array holds. */
export function pointee(type: CType): CType {
  return type.kind === "pointer" ? type.to : type.kind === "array" ? type.of : unknown;
}

/** Bytes that a value of a type takes; undefined where that is not known. */
export function sizeOf(type: CType): number | undefined {
  switch (type.kind) {
    case "scalar":
      return type.size === 0 ? undefined : type.size;
    case "pointer":
      return 8;
    case "array": {
      const element = sizeOf(type.of);
      return element === undefined || type.length === undefined ? undefined : element * type.length;
    }
    case "record":
      return type.record.size;
    default:
      return undefined;
  }
}

/** Alignment in bytes; undefined where it is not known. */
export function alignOf(type: CType): number | undefined {
  if (type.kind === "array") return alignOf(type.of);
  return type.kind === "record" ? type.record.align : sizeOf(type);
}
