import { closeSync, openSync } from "node:fs";
import { UnsupportedError, UsageError } from "../../framework/core/errors.ts";
import type { Codec } from "../../framework/core/layout.ts";
import type { OpenDescriptor } from "../../framework/runtime/types.ts";
import type { HasDescriptor } from "./references.ts";
import { type Bytes, bytesOf, Table, type TableParts } from "./table.ts";

/**
 * Whose value is meant: of task storage a process id; of inode and cgroup storage a path; of socket storage a
 * descriptor. `{ fd }` means a descriptor everywhere: a pidfd, an open file, a cgroup's folder.
 */
export type StorageOwner = number | string | HasDescriptor;

/** What a storage table is made of. */
export interface StorageParts<V> extends TableParts {
  readonly value: Codec<V>;
  /** Opens a process; null when there is none of that number. Undefined where the runtime cannot. */
  readonly openProcess?: ((pid: number) => OpenDescriptor | null) | undefined;
}

/**
 * Values that hang on tasks, inodes, sockets or cgroups and go away with them. The kernel does not list them, so there
 * is no walk: ask for an owner's. A task is a thread group's first thread, unless a pidfd says otherwise.
 */
export class StorageTable<V> extends Table {
  readonly #value: Codec<V>;
  readonly #bytes: Bytes;
  readonly #key = bytesOf(4);
  readonly #openProcess: StorageParts<V>["openProcess"];

  constructor(parts: StorageParts<V>) {
    super(parts);
    this.#value = parts.value;
    this.#bytes = bytesOf(parts.value.size);
    this.#openProcess = parts.openProcess;
  }

  /**
   * The owner's value; undefined when it has none.
   * @throws UsageError when there is no such owner
   */
  get(owner: StorageOwner): V | undefined {
    return this.#with(owner, (key) =>
      this.raw.lookup(key, this.#bytes.bytes) ? this.#value.read(this.#bytes.view, 0) : undefined,
    );
  }

  has(owner: StorageOwner): boolean {
    return this.#with(owner, (key) => this.raw.lookup(key, this.#bytes.bytes));
  }

  /** Gives the owner a value, in place of the one it may have. */
  set(owner: StorageOwner, value: V): this {
    this.#with(owner, (key) => {
      this.raw.update(key, this.encode(this.#value, value, this.#bytes, "value"), "any");
    });
    return this;
  }

  /** Takes the owner's value away; false when it had none. */
  delete(owner: StorageOwner): boolean {
    return this.#with(owner, (key) => this.raw.delete(key));
  }

  #with<R>(owner: StorageOwner, use: (key: Uint8Array) => R): R {
    this.assertOpen();
    using descriptor = this.#open(owner);
    this.#key.view.setInt32(0, descriptor.number, true);
    return use(this.#key.bytes);
  }

  #open(owner: StorageOwner): OpenDescriptor {
    if (typeof owner === "object") return borrowed(owner.fd);
    if (typeof owner === "string") return this.#openPath(owner);
    return this.kind === "task_storage" ? this.#openTask(owner) : borrowed(owner);
  }

  #openPath(path: string): OpenDescriptor {
    if (this.kind !== "inode_storage" && this.kind !== "cgrp_storage") {
      throw new UsageError(`owners in "${this.name}" have no paths: it is a ${this.kind}`);
    }
    let number: number;
    try {
      number = openSync(path, "r");
    } catch (cause) {
      throw new UsageError(
        `cannot open ${JSON.stringify(path)}, whose value in "${this.name}" is asked for`,
        {
          cause,
        },
      );
    }
    return { number, [Symbol.dispose]: () => closeSync(number) };
  }

  #openTask(pid: number): OpenDescriptor {
    if (this.#openProcess === undefined) {
      throw new UnsupportedError(`values of "${this.name}" cannot be found by process id on this runtime`);
    }
    const descriptor = this.#openProcess(pid);
    if (descriptor !== null) return descriptor;
    throw new UsageError(`there is no process ${pid}, whose value in "${this.name}" is asked for`);
  }
}

/** The caller's own, which stays open. */
function borrowed(number: number): OpenDescriptor {
  return { number, [Symbol.dispose]() {} };
}
