import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type KeyedTable, MapError, openMap, openPinned, UsageError } from "../../../framework/index.ts";
import { declarationOf, type TableDeclaration } from "../../../maps/tables/declaration.ts";
import { mountBpfFs } from "../../support/bpf-fs.ts";
import { run } from "../../support/events.ts";
import { needsKernel } from "../../support/skip.ts";
import { failure, open } from "./open.ts";

const CTX = "struct bpf_raw_tracepoint_args *ctx";
const ADD = `int f(${CTX}) { struct key key = { .id = ctx->args[0] }; t.increment(key); return 0; }`;
const KEY = "struct key { u32 id; u32 kind; };";
const SOURCE = `${KEY} BPF_HASH(t, struct key, u64, 16); ${ADD}`;
/** The same sizes, and another meaning. */
const SWAPPED = SOURCE.replace("u32 id; u32 kind;", "u32 kind; u32 id;");

interface Key {
  id: number;
  kind: number;
}

describe("a map that exists", () => {
  beforeEach((context) => needsKernel(context));

  test("is opened by its id or by a descriptor, with its types, and stays when its object is closed", () => {
    using b = open(SOURCE);
    const t = b.get_table<Key, bigint>("t");
    run(b, "f", 3);
    using byId = openMap<Key, bigint>({ id: t.id });
    using byFd = openMap<Key, bigint>({ fd: t.map_fd });
    b.close();
    byId.table.set({ id: 4, kind: 1 }, 9n);
    expect(byFd.table.get({ id: 3, kind: 0 })).toBe(1n);
    expect(byFd.table.get({ id: 4, kind: 1 })).toBe(9n);
    expect(byId.table.name).toBe("t");
  });

  test("is an error where there is none: no such id, no descriptor, a descriptor of something else", () => {
    const codes = (["id", "fd"] as const).map((word) => {
      const origin = word === "id" ? { id: 2 ** 31 } : { fd: 9999 };
      return failure(MapError, () => openMap(origin)).code;
    });
    expect(codes).toEqual(["MAP_OPEN", "MAP_OPEN"]);
    const file = openSync("/dev/null", "r");
    expect(failure(MapError, () => openMap({ fd: file })).message).toContain(`descriptor ${file} is no map`);
    closeSync(file);
    using b = open(SOURCE);
    const { fd } = b.load_func("f", 17);
    expect(failure(MapError, () => openMap({ fd })).message).toContain("is no map");
  });

  test("takes the place of a declared table, given as a table, a descriptor, an id or a path", () => {
    using fs = mountBpfFs();
    using owner = open(SOURCE);
    const t = owner.get_table<Key, bigint>("t");
    const path = join(fs.folder, "t");
    t.pin(path);
    for (const given of [t, { fd: t.map_fd }, { id: t.id }, { path }]) {
      using user = open(SOURCE, { maps: { t: given } });
      expect(user.get_table("t").id).toBe(t.id);
      run(user, "f", 5);
    }
    expect(t.get({ id: 5, kind: 0 })).toBe(4n);
    using last = open(SOURCE, { maps: { t } });
    owner.close();
    run(last, "f", 5);
    expect(last.get_table<Key, bigint>("t").get({ id: 5, kind: 0 })).toBe(5n);
  });

  test("of another kind, size or meaning than declared is an error with both sides", () => {
    using owner = open(SOURCE);
    const t = owner.get_table("t");
    const given = (source: string): MapError => failure(MapError, () => open(source, { maps: { t } }));
    expect(given(SOURCE.replace("BPF_HASH(", "BPF_PERCPU_HASH(")).message).toContain(
      "is declared as a percpu_hash, but the map given for it is a hash",
    );
    expect(given(`${KEY} BPF_HASH(t, struct key, u32, 16);`).message).toContain(
      "8-byte keys and 4-byte values, but the map given for it has 8-byte keys and 8-byte values",
    );
    const { code, message } = given(SWAPPED);
    expect(code).toBe("MAP_MISMATCH");
    expect(message).toContain(
      "declared:\n  at 0 kind: u32\n  at 4 id: u32\n  8 bytes\nthe other:\n  at 0 id: u32",
    );
  });

  test("given for a table that the source does not declare is an error with near names", () => {
    using owner = open(SOURCE);
    const error = failure(UsageError, () => open(SOURCE, { maps: { tt: owner.get_table("t") } }));
    expect(error.message).toContain('a map is given for "tt"');
    expect(error.hint).toContain("t");
  });

  test("that is pinned is compared with the declared types, not by size alone", () => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "t");
    const pinnedAt = (source: string): string =>
      source.replace(
        "BPF_HASH(t, struct key, u64, 16)",
        `BPF_TABLE_PINNED("hash", struct key, u64, t, 16, "${path}")`,
      );
    open(pinnedAt(SOURCE)).close();
    open(pinnedAt(SOURCE)).close();
    const { code, message } = failure(MapError, () => open(pinnedAt(SWAPPED)));
    expect(code).toBe("MAP_MISMATCH");
    expect(message).toContain(`another key than what is pinned at ${path}`);
    expect(message).toContain(
      "declared:\n  at 0 kind: u32\n  at 4 id: u32\n  8 bytes\npinned:\n  at 0 id: u32",
    );
  });

  test("that is public is compared likewise", () => {
    using _ = open(
      SOURCE.replace("BPF_HASH(t, struct key, u64, 16)", 'BPF_TABLE_PUBLIC("hash", struct key, u64, t, 16)'),
    );
    const user = SWAPPED.replace(
      "BPF_HASH(t, struct key, u64, 16)",
      'BPF_TABLE("extern", struct key, u64, t, 16)',
    );
    expect(failure(MapError, () => open(user)).message).toContain("the other:\n  at 0 id: u32");
  });

  test("is opened as a declaration says, and refused when it is not so", () => {
    using fs = mountBpfFs();
    const path = join(fs.folder, "t");
    using b = open(SOURCE);
    const t = b.get_table("t");
    t.pin(path);
    const declaration = declarationOf(t.raw.spec) as TableDeclaration<KeyedTable<Key, bigint>>;
    using pinned = openPinned(path, { declaration });
    pinned.table.set({ id: 1, kind: 2 }, 3n);
    expect(pinned.table.items()).toEqual([[{ id: 1, kind: 2 }, 3n]]);
    using other = open(SWAPPED);
    const wrong = declarationOf(other.get_table("t").raw.spec);
    expect(failure(MapError, () => openPinned(path, { declaration: wrong })).code).toBe("MAP_MISMATCH");
    expect(failure(MapError, () => openMap({ id: t.id }, { declaration: wrong })).code).toBe("MAP_MISMATCH");
  });
});
