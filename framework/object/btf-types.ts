/** One member of a struct or union. */
export interface BtfMember {
  /** "" for an anonymous struct or union inside another. */
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** 0: not a bit field. */
  readonly bitSize: number;
}

/** One decoded type; `type`, `element`, `index` and `returns` are ids, 0 being void. */
export type BtfType =
  | { readonly kind: "void" }
  | {
      readonly kind: "int";
      readonly name: string;
      readonly size: number;
      readonly bits: number;
      readonly bitOffset: number;
      readonly signed: boolean;
      readonly char: boolean;
      readonly bool: boolean;
    }
  | { readonly kind: "float"; readonly name: string; readonly size: number }
  | { readonly kind: "ptr" | "const" | "volatile" | "restrict"; readonly type: number }
  | { readonly kind: "typedef" | "type_tag"; readonly name: string; readonly type: number }
  | { readonly kind: "array"; readonly element: number; readonly index: number; readonly length: number }
  | {
      readonly kind: "struct" | "union";
      readonly name: string;
      readonly size: number;
      readonly members: readonly BtfMember[];
    }
  | {
      readonly kind: "enum" | "enum64";
      readonly name: string;
      readonly size: number;
      readonly signed: boolean;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    }
  | { readonly kind: "fwd"; readonly name: string; readonly union: boolean }
  | { readonly kind: "func"; readonly name: string; readonly type: number; readonly linkage: number }
  | {
      readonly kind: "func_proto";
      readonly returns: number;
      readonly params: readonly { readonly name: string; readonly type: number }[];
    }
  | { readonly kind: "var"; readonly name: string; readonly type: number; readonly linkage: number }
  | {
      readonly kind: "datasec";
      readonly name: string;
      readonly size: number;
      readonly variables: readonly {
        readonly type: number;
        readonly offset: number;
        readonly size: number;
      }[];
    }
  | { readonly kind: "decl_tag"; readonly name: string; readonly type: number; readonly component: number };

export type BtfKind = BtfType["kind"];

/** Kinds by their number in include/uapi/linux/btf.h. */
export const btfKinds = [
  "void",
  "int",
  "ptr",
  "array",
  "struct",
  "union",
  "enum",
  "fwd",
  "typedef",
  "volatile",
  "const",
  "restrict",
  "func",
  "func_proto",
  "var",
  "datasec",
  "float",
  "decl_tag",
  "type_tag",
  "enum64",
] as const satisfies readonly BtfKind[];
