import type { Register, UsdtArgument } from "./usdt-argument.ts";

/** The arguments of a probe at places where all of them are found alike. */
export interface ReaderVariant {
  /** What `bpf_get_attach_cookie` gives at those places. */
  readonly cookie: bigint;
  /** What `bpf_usdt_cookie` gives there: a number of the user's own. */
  readonly userCookie: bigint;
  readonly arguments: readonly UsdtArgument[];
}

/** Name of the C function that reads arguments for a program; for functions that several programs call, of "". */
export function readerName(functionName: string): string {
  return functionName === "" ? "__rx_usdt" : `__rx_usdt_${functionName}`;
}

/**
 * C functions that read the arguments of USDT probes: `int reader(void *ctx, int n, __s64 *value)`, one for each
 * program, and one that serves all. They answer 0, or below 0 for an argument that cannot be read. Beside each are
 * `int __rx_count_of…(void *ctx)`, how many arguments there are, and `__s64 __rx_cookie_of…(void *ctx)`, the user's number:
 * in front of the reader's name, for behind it they could be the name of another program's reader.
 *
 * Where places of a probe keep an argument differently, the attachment's cookie (5.15) says which place was reached.
 *
 * @param programs by function name, what it may be attached to
 */
export function readersText(programs: ReadonlyMap<string, readonly ReaderVariant[]>): string {
  const all = [...programs.values()].flat();
  return [...programs, ["", all] as const].map(([name, variants]) => readerText(name, variants)).join("\n");
}

/** Whether reading needs the cookies. */
export function needsCookies(variants: readonly ReaderVariant[]): boolean {
  return new Set(variants.map(textOf)).size > 1;
}

function textOf({ arguments: list, userCookie }: ReaderVariant): string {
  return `${userCookie} ${JSON.stringify(list.map(({ place, ...rest }) => [rest, placeText(place)]))}`;
}

function placeText(place: UsdtArgument["place"]): string {
  return JSON.stringify(place, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function readerText(name: string, variants: readonly ReaderVariant[]): string {
  const count = Math.max(0, ...variants.map((variant) => variant.arguments.length));
  const cases = Array.from(
    { length: count },
    (_, index) => `  case ${index + 1}:\n${caseText(variants, index)}`,
  );
  const reader = readerName(name);
  const counts = choiceText(variants, (variant) => `return ${variant.arguments.length};`);
  const cookies = choiceText(variants, ({ userCookie }) => `return ${literal(userCookie)};`);
  return `static inline __attribute__((always_inline)) int ${reader}(void *ctx, int n, __s64 *value) {
  switch (n) {
${cases.join("")}  }
  return -22;
}
static inline __attribute__((always_inline)) int __rx_count_of${reader}(void *ctx) {
${counts}}
static inline __attribute__((always_inline)) __s64 __rx_cookie_of${reader}(void *ctx) {
${cookies}}`;
}

function caseText(variants: readonly ReaderVariant[], index: number): string {
  return choiceText(variants, ({ arguments: list }) => {
    const argument = list[index];
    return argument === undefined ? "return -22;" : readText(argument);
  });
}

/** A statement that returns, and where it differs between places, one for each of them. */
function choiceText(
  variants: readonly ReaderVariant[],
  statementOf: (variant: ReaderVariant) => string,
): string {
  const bySource = new Map<string, Set<bigint>>();
  for (const variant of variants) {
    const source = statementOf(variant);
    bySource.set(source, (bySource.get(source) ?? new Set()).add(variant.cookie));
  }
  const [only, ...others] = bySource.keys();
  if (others.length === 0) return `    ${only}\n`;
  const choices = [...bySource].map(([source, cookies]) => {
    const test = [...cookies].map((cookie) => `cookie == ${cookie}`).join(" || ");
    return `      if (${test}) ${source}\n`;
  });
  return `    {\n      __u64 cookie = __rx_attach_cookie(ctx);\n${choices.join("")}      return -22;\n    }\n`;
}

const TYPES: Readonly<Record<number, readonly [unsigned: string, signed: string]>> = {
  1: ["__u8", "__s8"],
  2: ["__u16", "__s16"],
  4: ["__u32", "__s32"],
  8: ["__u64", "__s64"],
};

/** The C type of an argument. */
export function argumentType({ size, isSigned }: UsdtArgument): string {
  const name = TYPES[size]?.[isSigned ? 1 : 0];
  return name === undefined ? "uint64_t" : `${isSigned ? "" : "u"}int${size * 8}_t`;
}

/** A block that sets `*value` and returns. */
function readText(argument: UsdtArgument): string {
  const { place, size, isSigned } = argument;
  const type = TYPES[size]?.[isSigned ? 1 : 0];
  if (type === undefined || place.kind === "unreadable") return "return -95;";
  if (place.kind === "constant") return `{ *value = (${type})${literal(place.value)}; return 0; }`;
  if (place.kind === "register")
    return `{ ${load("whole", place.register)} *value = (${type})whole; return 0; }`;
  const { base, index, scale, displacement } = place;
  // A variable that was not found is no place to read.
  if (base === undefined) return "return -95;";
  const loads = [load("base", base), index === undefined ? "__u64 index = 0;" : load("index", index)];
  const address = `base + index * ${scale} + (__u64)${literal(displacement)}`;
  return `{ ${loads.join(" ")} ${type} found = 0; long failed = __rx_probe_read_user(&found, sizeof(found), (const void *)(${address})); *value = found; return failed; }`;
}

function literal(value: bigint): string {
  return value < 0n ? `(-${-value}LL)` : `${value}LL`;
}

/**
 * A register's value in a variable. As assembly, because the verifier wants every load from the context to have an
 * offset of its own, and compilers join loads of several branches.
 */
function load(name: string, { at, shift, bits, isSigned }: Register): string {
  const part = `${isSigned ? "__s" : "__u"}${bits}`;
  const whole = `__u64 ${name}; asm volatile("%0 = *(u64 *)(%1 + ${at})" : "=r"(${name}) : "r"(ctx));`;
  return bits === 64 ? whole : `${whole} ${name} = (${part})${shift === 0 ? name : `(${name} >> ${shift})`};`;
}
