import type { Codec } from "../../framework/core/layout.ts";

/** Gives a value of the reader's surroundings a name that generated code can use. */
export type Bind = (value: unknown) => string;

/** A codec that can also write down, as JavaScript, how it reads: records put their fields' readers in line. */
export interface InlineCodec<T> extends Codec<T> {
  /**
   * A JavaScript expression that reads the value from `view`.
   * @param at an expression for the byte offset
   */
  source(at: string, bind: Bind): string;
}

/** The expression that reads through any codec: in line where it can, else by calling it. */
export function sourceOf(codec: Codec<unknown>, at: string, bind: Bind): string {
  return isInline(codec) ? codec.source(at, bind) : `${bind(codec)}.read(view, ${at})`;
}

function isInline(codec: Codec<unknown>): codec is InlineCodec<unknown> {
  return "source" in codec;
}

/** Turns an expression over `view` and `at` into a function. */
export function compileReader<T>(expression: (bind: Bind) => string): (view: DataView, at: number) => T {
  const values: unknown[] = [];
  const body = expression((value) => {
    const known = values.indexOf(value);
    return `c${known >= 0 ? known : values.push(value) - 1}`;
  });
  const names = values.map((_, i) => `c${i}`);
  const make = new Function(...names, `"use strict"; return (view, at) => (${body});`) as (
    ...bound: unknown[]
  ) => (view: DataView, at: number) => T;
  return make(...values);
}
