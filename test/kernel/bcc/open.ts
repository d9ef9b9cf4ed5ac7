import { BPF, type BpfError, type BpfOptions } from "../../../framework/index.ts";

// Objects from earlier runs may come from an earlier rewriter.
process.env["RXBPF_CACHE"] = "";

/** A BPF object of the running kernel, from a C text, compiled afresh. */
export function open(text: string, options: Omit<BpfOptions, "text"> = {}): BPF {
  return new BPF({ text, runtime: "kernel", ...options });
}

/** The error of ours that an action throws; fails when it throws none. */
export function failure<E extends BpfError>(
  type: abstract new (...args: never[]) => E,
  action: () => unknown,
): E {
  let result: unknown;
  try {
    result = action();
  } catch (error) {
    if (error instanceof type) return error;
    throw error;
  }
  (result as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();
  throw new Error(`expected a ${type.name}, and nothing was thrown`);
}
