import { describeLayout, isSameLayout, type Layout } from "./describe-layout.ts";
import type { MapSpec } from "./object-spec.ts";

/** The types of a map's keys and values. */
export type MapTypes = Pick<MapSpec, "btf" | "keyType" | "valueType">;

/** A part of two maps' entries that has not the same layout in both. */
export interface TypeMismatch {
  readonly role: "key" | "value";
  readonly wanted: Layout;
  readonly is: Layout;
}

/** Where the entries of two maps differ; undefined when they do not, or when one of the maps has no types. */
export function typeMismatch(wanted: MapTypes, is: MapTypes): TypeMismatch | undefined {
  for (const role of ["key", "value"] as const) {
    const [one, other] = [layoutIn(wanted, role), layoutIn(is, role)];
    if (one === undefined || other === undefined || isSameLayout(one, other)) continue;
    return { role, wanted: one, is: other };
  }
  return undefined;
}

function layoutIn({ btf, keyType, valueType }: MapTypes, role: "key" | "value"): Layout | undefined {
  const type = role === "key" ? keyType : valueType;
  return btf === null || type === 0 ? undefined : describeLayout(btf, type);
}
