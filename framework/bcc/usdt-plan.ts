import { UnsupportedError } from "../core/errors.ts";
import type { AttachTarget } from "../programs/targets.ts";
import type { UsdtArgument } from "../symbols/usdt-argument.ts";
import { argumentsAt } from "../symbols/usdt-notes.ts";
import { needsCookies, type ReaderVariant, readerName, readersText } from "../symbols/usdt-readers.ts";
import type { UsdtProgram, UsdtReaders } from "./pipeline.ts";
import type { EnabledProbe } from "./usdt.ts";

/** What enabled probes ask for: C text before compiling, and attachments afterwards. */
export interface UsdtPlan {
  readonly readers: UsdtReaders;
  readonly attachments: readonly {
    readonly functionName: string;
    readonly target: Extract<AttachTarget, { hook: "uprobe" }>;
  }[];
}

/** One place of an enabled probe, with what is read there. */
interface PlannedPlace {
  readonly offset: number;
  readonly variant: ReaderVariant;
}

/** @param options.ignorePid attach for all processes, whichever the probes were enabled for */
export function usdtPlan(
  enabled: readonly EnabledProbe[],
  options: { readonly ignorePid: boolean },
): UsdtPlan {
  const variants = new Variants();
  const places = enabled.map((one) => placesOf(one, variants));
  const usesCookies = needsCookies(variants.all);
  const attachments = enabled.map((one, index) => {
    const refCounter = counterOf(one);
    const target = {
      hook: "uprobe",
      path: one.file.path,
      name: nameOf(one),
      pid: options.ignorePid ? -1 : one.pid,
      atReturn: false,
      places: places[index]!.map(({ offset, variant }) => ({
        offset,
        refCounter,
        cookie: usesCookies ? variant.cookie : 0n,
      })),
    } as const;
    return { functionName: one.functionName, target };
  });
  return { readers: readersOf(enabled, places), attachments };
}

/** Ways in which places keep the arguments of their probes, each with a number of its own. */
class Variants {
  readonly #known = new Map<string, ReaderVariant>();

  get all(): readonly ReaderVariant[] {
    return [...this.#known.values()];
  }

  of(list: readonly UsdtArgument[], userCookie: bigint): ReaderVariant {
    const key = JSON.stringify([list, userCookie], (_, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    );
    let variant = this.#known.get(key);
    if (variant === undefined) {
      variant = { cookie: BigInt(this.#known.size + 1), userCookie, arguments: list };
      this.#known.set(key, variant);
    }
    return variant;
  }
}

function placesOf({ file, probe, cookie }: EnabledProbe, variants: Variants): readonly PlannedPlace[] {
  return probe.locations.map((location) => ({
    offset: location.fileOffset,
    variant: variants.of(argumentsAt(file.module, location), cookie),
  }));
}

function nameOf({ probe }: EnabledProbe): string {
  return `${probe.provider}:${probe.name}`;
}

/** Where in the file a probe's counter is. */
function counterOf({ file, probe }: EnabledProbe): number {
  if (probe.semaphore !== 0 && probe.semaphoreOffset === 0) {
    throw new UnsupportedError(
      `the counter of ${probe.provider}:${probe.name} is in no part of ${file.shownPath} that is loaded from it`,
    );
  }
  return probe.semaphoreOffset;
}

function readersOf(
  enabled: readonly EnabledProbe[],
  places: readonly (readonly PlannedPlace[])[],
): UsdtReaders {
  const names = new Map<string, Set<string>>();
  const variants = new Map<string, Set<ReaderVariant>>();
  enabled.forEach((one, index) => {
    for (const name of [one.functionName, ""]) {
      names.set(name, (names.get(name) ?? new Set()).add(nameOf(one)));
      const known = variants.get(name) ?? new Set();
      for (const { variant } of places[index]!) known.add(variant);
      variants.set(name, known);
    }
  });
  const programs = new Map<string, UsdtProgram>();
  for (const [name, all] of variants) {
    programs.set(name, programOf(name, [...names.get(name)!], [...all]));
  }
  const byProgram = new Map(
    [...variants].filter(([name]) => name !== "").map(([name, all]) => [name, [...all]]),
  );
  return { text: byProgram.size === 0 ? "" : readersText(byProgram), programs };
}

function programOf(name: string, probes: readonly string[], variants: readonly ReaderVariant[]): UsdtProgram {
  const argumentCount = Math.max(0, ...variants.map((variant) => variant.arguments.length));
  const numbers = Array.from({ length: argumentCount }, (_, index) => index + 1);
  const unreadable = numbers.filter((number) =>
    variants.every((variant) => (variant.arguments[number - 1]?.place.kind ?? "unreadable") === "unreadable"),
  );
  return { reader: readerName(name), probes, argumentCount, unreadable };
}
