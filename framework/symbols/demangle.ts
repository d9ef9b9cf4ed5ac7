import { demangled } from "../sys/libc.ts";
import type { ResolvedSymbol } from "./process.ts";

/** The same symbol with its C++ name as people write it; as it is when it has none. */
export function withWrittenName(symbol: ResolvedSymbol): ResolvedSymbol {
  const name = symbol.name === undefined ? undefined : demangled(symbol.name);
  return name === undefined ? symbol : { ...symbol, name };
}
