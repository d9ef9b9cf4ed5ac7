import { describe, expect, test } from "vitest";
import { type PublicName, publicNames } from "../../support/public-api.ts";
import { bccNames } from "./bcc-names.ts";

const names = publicNames();

/** A member, or an option of a method, with where it is. */
interface Spelled {
  readonly name: string;
  readonly where: string;
}

/** Everything below the exported names that a script spells out; constants in capitals are BCC's or the kernel's. */
function spelledIn({ name, members }: PublicName): readonly Spelled[] {
  return members
    .filter((member) => !/^[A-Z\d_]+$/.test(member.name) && !member.name.startsWith("["))
    .flatMap((member) =>
      [member.name, ...member.options].map((word) => ({ name: word, where: `${name}.${member.name}` })),
    );
}

const spelled = names.flatMap(spelledIn);

/** Options of `events()`, a method that BCC does not have: all of them are ours, also where BCC's method has a like one. */
const OUR_OWN: readonly string[] = ["EventStreamOptions.wakeupEvents"];

function snakeOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

describe("public names", () => {
  test("one with an underscore is BCC's own", () => {
    const foreign = spelled.filter(({ name }) => name.includes("_"));
    expect(foreign.length).toBeGreaterThan(40);
    expect(foreign.filter(({ name }) => !bccNames.has(name))).toEqual([]);
  });

  test("all others are camelCase, but for BCC's own", () => {
    const ours = spelled.filter(({ name }) => !name.includes("_") && !bccNames.has(name));
    expect(ours.filter(({ name }) => !/^[a-z][a-zA-Z\d]*$/.test(name))).toEqual([]);
  });

  test("none is BCC's name in another spelling", () => {
    const isRespelled = ({ name }: Spelled): boolean => /[A-Z]/.test(name) && bccNames.has(snakeOf(name));
    expect(spelled.filter(isRespelled).map(({ where }) => where)).toEqual(OUR_OWN);
  });

  test("what a script imports looks like what it is: classes and types, functions, constants", () => {
    const looks = {
      class: /^[A-Z][a-zA-Z\d]*$/,
      interface: /^[A-Z][a-zA-Z\d]*$/,
      type: /^[A-Z][a-zA-Z\d]*$/,
      function: /^[a-z][a-zA-Z\d]*$/,
      constant: /^[A-Z][A-Z\d_]*$/,
    } as const;
    expect(names.filter(({ name, kind }) => !looks[kind].test(name)).map(({ name }) => name)).toEqual([]);
  });
});
