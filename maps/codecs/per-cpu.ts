import { LayoutError } from "../../framework/core/errors.ts";
import { type Codec, roundUp, show } from "../../framework/core/layout.ts";
import { atField } from "./field-path.ts";

/**
 * The values of one key on all possible CPUs, in CPU order; a CPU that never wrote holds zero. Writing needs one value
 * for each.
 *
 * Whatever the value's size, the kernel pads its slots to 8 bytes (bpf_map_value_size in kernel/bpf/syscall.c).
 */
export function perCpu<T>(item: Codec<T>, cpuCount: number): Codec<T[]> {
  const slot = roundUp(item.size, 8);
  return {
    size: slot * cpuCount,
    align: 8,
    read(view, at) {
      const values: T[] = [];
      for (let cpu = 0; cpu < cpuCount; cpu++) values.push(item.read(view, at + cpu * slot));
      return values;
    },
    write(view, at, values) {
      if (!Array.isArray(values) || values.length !== cpuCount) {
        throw new LayoutError(
          `must be an array of ${cpuCount} values, one per possible CPU, not ${show(values)}`,
        );
      }
      for (let cpu = 0; cpu < cpuCount; cpu++) {
        try {
          item.write(view, at + cpu * slot, values[cpu]!);
        } catch (error) {
          throw atField(`[${cpu}]`, error);
        }
      }
    },
  };
}

/**
 * A per-CPU value seen as one: the values of all CPUs folded from the left. It cannot be written, since one number does
 * not say what each CPU should hold.
 */
export function reduced<T>(values: Codec<T[]>, reducer: (left: T, right: T) => T): Codec<T> {
  return {
    size: values.size,
    align: values.align,
    read: (view, at) => values.read(view, at).reduce((left, right) => reducer(left, right)),
    write() {
      throw new LayoutError("is folded from all CPUs by a reducer and cannot be written", {
        hint: "open the table without a reducer and write an array with one value per possible CPU",
      });
    },
  };
}
