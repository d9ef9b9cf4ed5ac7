import { MapError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { inField, viewOf } from "../../framework/core/layout.ts";
import type { Btf } from "../../framework/object/btf.ts";
import { describeLayout } from "../../framework/object/describe-layout.ts";
import type { MapSpec } from "../../framework/object/object-spec.ts";
import type { RawMap } from "../../framework/runtime/types.ts";
import { codecOf } from "../codecs/from-btf.ts";
import { assertSame, type VariableDeclaration } from "./declaration.ts";

const ONLY_KEY = new Uint8Array(4);

/**
 * A global variable of the source. It lives in the one value of a data section's map (5.2), so a write here stores
 * the whole section again: what programs wrote to its other variables in between is lost.
 */
export class Variable<T> {
  readonly name: string;
  readonly #map: RawMap;
  readonly #codec: Codec<T>;
  readonly #offset: number;
  readonly #section: Uint8Array;

  constructor(name: string, map: RawMap, place: { readonly codec: Codec<T>; readonly offset: number }) {
    this.name = name;
    this.#map = map;
    this.#codec = place.codec;
    this.#offset = place.offset;
    this.#section = new Uint8Array(map.spec.valueSize);
  }

  /** @throws ClosedError after the BPF object was closed */
  get(): T {
    this.#map.lookup(ONLY_KEY, this.#section);
    return this.#codec.read(viewOf(this.#section), this.#offset);
  }

  /**
   * @throws LayoutError when the value does not fit the variable's type
   * @throws MapError for a constant, whose section is read-only
   */
  set(value: T): void {
    if (this.#map.spec.frozen) {
      throw new MapError("MAP_OPERATION", `variable "${this.name}" is a constant, which cannot be written`, {
        hint: "declare it without const",
      });
    }
    this.#map.lookup(ONLY_KEY, this.#section);
    try {
      this.#codec.write(viewOf(this.#section), this.#offset, value);
    } catch (error) {
      throw inField(`variable "${this.name}"`, error);
    }
    this.#map.update(ONLY_KEY, this.#section, "any");
  }
}

/**
 * A variable by name or declaration in maps made from data sections, or undefined.
 * @throws MapError MAP_MISMATCH when it is not as it was declared, with both layouts
 */
export function findVariable(
  wanted: string | VariableDeclaration,
  maps: Iterable<RawMap>,
): Variable<unknown> | undefined {
  const name = typeof wanted === "string" ? wanted : wanted.name;
  for (const map of maps) {
    for (const { type, offset, name: own } of variablesOf(map.spec)) {
      if (own !== name) continue;
      const btf = map.spec.btf as Btf;
      if (typeof wanted !== "string") {
        assertSame(`variable "${name}"`, "type", wanted.type, describeLayout(btf, type));
      }
      return new Variable(name, map, { codec: codecOf(btf, type), offset });
    }
  }
  return undefined;
}

/** The variables of a data section's map; none for other maps. */
export function variablesOf({
  btf,
  valueType,
  initial,
}: MapSpec): readonly { readonly name: string; readonly type: number; readonly offset: number }[] {
  if (btf === null || initial === null || valueType === 0) return [];
  const section = btf.type(valueType);
  if (section.kind !== "datasec") return [];
  return section.variables.flatMap(({ type, offset }) => {
    const variable = btf.type(type);
    return variable.kind === "var" ? [{ name: variable.name, type: variable.type, offset }] : [];
  });
}
