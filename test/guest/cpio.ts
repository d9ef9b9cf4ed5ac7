/** One file of an archive. */
export interface ArchiveFile {
  /** Without a leading slash; its folders are created by the archive. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly executable?: boolean;
}

/** S_IFREG and S_IFDIR of inode(7). */
const regular = 0o100000;
const directory = 0o040000;

/**
 * Files as an uncompressed "newc" cpio archive, which is what a kernel unpacks as its first root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export function cpioArchive(files: readonly ArchiveFile[]): Buffer {
  const folders = [...new Set(files.flatMap(({ path }) => foldersOf(path)))].sort();
  const entries = [
    ...folders.map((path) => ({ path, mode: directory | 0o755, bytes: new Uint8Array() })),
    ...files.map(({ path, bytes, executable }) => ({
      path,
      bytes,
      mode: regular | (executable === true ? 0o755 : 0o644),
    })),
    { path: "TRAILER!!!", mode: 0, bytes: new Uint8Array() },
  ];
  return Buffer.concat(entries.map((entry, index) => archiveEntry({ ...entry, inode: index + 1 })));
}

function foldersOf(path: string): readonly string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function archiveEntry(entry: { path: string; mode: number; bytes: Uint8Array; inode: number }): Buffer {
  const name = Buffer.from(`${entry.path}\0`);
  const links = 1;
  // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum
  const fields = [entry.inode, entry.mode, 0, 0, links, 0, entry.bytes.length, 0, 0, 0, 0, name.length, 0];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(entry.bytes)]);
}

/** Name and content each end on a multiple of 4 bytes. */
function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
