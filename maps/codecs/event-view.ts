import { ClosedError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import { sourceOf } from "./inline-codec.ts";
import { isOpen } from "./open-record.ts";
import { partsOfRecord, type RecordParts } from "./record.ts";

/**
 * An event read where the kernel wrote it. Each field is decoded when it is read, and only during the callback that was
 * given the view: afterwards the kernel may write there, and reading throws a ClosedError.
 */
export type EventView<E> = Readonly<E>;

/** Lends one record at a time: views are good for the turn they were made in. */
export class Lease {
  /** The memory that records are in. */
  view: DataView = nothing;
  /** Bytes of the record that is lent. */
  length = 0;
  turn = 0;

  /** Ends what was lent. */
  end(): void {
    this.turn++;
  }
}

/** Makes a view of the record at an offset of a lease's memory, good until the lease ends. */
export type ViewMaker = (lease: Lease, at: number) => object;

const nothing = new DataView(new ArrayBuffer(0));

/** What makes a whole event of a view. No field of C has it as its name. */
const whole: unique symbol = Symbol("whole");

/** Makers made so far. */
const made = new WeakMap<Codec<unknown>, ViewMaker>();

/**
 * The maker of views for a record's codec; undefined for what has no fields.
 *
 * A view's class is generated code with a getter for each field, which is as fast as reading the bytes by hand.
 */
export function viewMakerOf(codec: Codec<unknown>): ViewMaker | undefined {
  const known = made.get(codec);
  if (known !== undefined) return known;
  const parts = partsOfRecord(codec);
  if (parts === undefined) return undefined;
  const maker = generate(codec, parts);
  made.set(codec, maker);
  return maker;
}

/**
 * The event of a view as `events()` gives it: a copy to keep.
 *
 * @throws ClosedError when the callback that was given the view has returned
 */
export function copyOfView<E extends object>(view: EventView<E>): E {
  const make = (view as { readonly [whole]?: () => E })[whole];
  return make === undefined ? view : make.call(view);
}

function generate(codec: Codec<unknown>, { fields, tail }: RecordParts): ViewMaker {
  const values: unknown[] = [whole, codec, refuse, Symbol.for("nodejs.util.inspect.custom")];
  const bind = (value: unknown): string => {
    const known = values.indexOf(value);
    return `c${known >= 0 ? known : values.push(value) - 1}`;
  };
  const enter = (what: string): string =>
    `const lease = this.#lease; if (lease.turn !== this.#turn) c2(${what}); const view = lease.view, at = this.#at;`;
  const getters = fields.map(({ name, offset, codec: field }) => {
    const quoted = JSON.stringify(name);
    // The last field may go on to the record's end.
    const source =
      name === tail?.name
        ? `${bind(tail)}.read(view, at + ${offset}, lease.length - ${offset})`
        : sourceOf(field, `at + ${offset}`, bind);
    return `get [${quoted}]() { ${enter(quoted)} return (${source}); }`;
  });
  const read = isOpen(codec) ? "c1.readUpTo(view, at, lease.length)" : "c1.read(view, at)";
  const body = `"use strict"; class EventView {
    #lease; #at; #turn;
    constructor(lease, at) { this.#lease = lease; this.#at = at; this.#turn = lease.turn; }
    ${getters.join("\n")}
    [c0]() { ${enter('""')} return ${read}; }
    [c3]() { return this.#lease.turn === this.#turn ? this[c0]() : "[an event that is gone]"; }
  }
  return (lease, at) => new EventView(lease, at);`;
  const names = values.map((_, index) => `c${index}`);
  return new Function(...names, body)(...values) as ViewMaker;
}

function refuse(field: string): never {
  const what = field === "" ? "a view of an event" : `"${field}" of an event's view`;
  throw new ClosedError(`${what} was read after the callback that it was given to`, {
    hint: "views are good during the callback only: take the fields you need, copyOfView(view), or use events()",
  });
}
