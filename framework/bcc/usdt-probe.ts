import type { UsdtArgument } from "../symbols/usdt-argument.ts";
import type { UsdtLocation, UsdtProbe } from "../symbols/usdt-notes.ts";

/** A probe as BCC shows it. */
export class USDTProbe {
  readonly provider: string;
  readonly name: string;
  readonly bin_path: string;
  /** Address in the file of the counter that tells whether anybody looks; 0 without one. */
  readonly semaphore: number;
  readonly locations: readonly USDTProbeLocation[];

  constructor(path: string, probe: UsdtProbe) {
    this.provider = probe.provider;
    this.name = probe.name;
    this.bin_path = path;
    this.semaphore = probe.semaphore;
    this.locations = probe.locations.map((location) => new USDTProbeLocation(path, location));
  }

  get num_locations(): number {
    return this.locations.length;
  }

  get num_arguments(): number {
    return this.locations[0]?.arguments.length ?? 0;
  }

  /** "provider:name". */
  short_name(): string {
    return `${this.provider}:${this.name}`;
  }

  /** Counted from 0. */
  get_location(index: number): USDTProbeLocation | undefined {
    return this.locations[index];
  }

  toString(): string {
    return `${this.bin_path} ${this.short_name()} [sema 0x${this.semaphore.toString(16)}]`;
  }
}

/** One place of a probe. */
export class USDTProbeLocation {
  readonly bin_path: string;
  /** In the file. */
  readonly address: number;
  readonly arguments: readonly USDTProbeArgument[];

  constructor(path: string, location: UsdtLocation) {
    this.bin_path = path;
    this.address = location.address;
    this.arguments = location.arguments.map((argument) => new USDTProbeArgument(argument));
  }

  /** Counted from 0. */
  get_argument(index: number): USDTProbeArgument | undefined {
    return this.arguments[index];
  }
}

/** Where an argument is; what its place has no use for is undefined. */
export class USDTProbeArgument {
  /** Bytes. */
  readonly size: number;
  readonly signed: boolean;
  readonly constant: bigint | undefined;
  readonly deref_offset: bigint | undefined;
  readonly deref_ident: string | undefined;
  readonly base_register_name: string | undefined;
  readonly index_register_name: string | undefined;
  readonly scale: number | undefined;
  readonly #text: string;

  constructor({ text, size, isSigned, place }: UsdtArgument) {
    this.#text = text;
    this.size = size;
    this.signed = isSigned;
    const memory = place.kind === "memory" ? place : undefined;
    this.constant = place.kind === "constant" ? place.value : undefined;
    this.deref_offset = memory?.displacement;
    this.deref_ident = memory?.symbol;
    this.base_register_name = place.kind === "register" ? place.register.name : memory?.base?.name;
    this.index_register_name = memory?.index?.name;
    this.scale = memory?.index === undefined ? undefined : memory.scale;
  }

  /** As the program's notes have it: "-4@%eax". */
  toString(): string {
    return this.#text;
  }
}
