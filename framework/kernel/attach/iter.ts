import { existsSync, readSync } from "node:fs";
import { SyscallError } from "../../core/errors.ts";
import type { Scope } from "../../core/scope.ts";
import type { AttachTarget } from "../../programs/targets.ts";
import type { IteratorLink, IteratorReader, RawMap } from "../../runtime/types.ts";
import { type Arena, withArena } from "../../sys/arena.ts";
import { bpf } from "../../sys/bpf.ts";
import { Fd } from "../../sys/fd.ts";
import { systemCode } from "../../sys/tracefs.ts";
import { iterCreate, iterOverMap, iterOverTasks, linkCreateIter } from "../../uapi/bpf-attr.ts";
import { BPF_TRACE_ITER } from "../../uapi/constants.ts";
import { buildLink, KernelLink } from "../kernel-link.ts";
import { kernelMap } from "../maps.ts";
import type { KernelProgram } from "../programs.ts";
import { cannotAttach, explainAttach } from "./attach-error.ts";

type Target = Extract<AttachTarget, { hook: "iter" }>;

/**
 * Makes a program ready to be run on each object of a kind, whenever somebody reads. Since Linux 5.8.
 *
 * @param map the table whose entries are walked over, for iterators that need one
 * @throws AttachError for a table of the wrong kind, or none where one is needed, and for an unknown process or thread
 */
export function attachIterator(program: KernelProgram, target: Target, map?: RawMap): IteratorLink {
  checkTask(program, target);
  const label = `iterator ${target.name}`;
  return buildLink(label, (parts) => {
    try {
      const fd = withArena((arena) =>
        bpf("BPF_LINK_CREATE", linkCreateIter, {
          prog_fd: program.fd,
          attach_type: BPF_TRACE_ITER,
          ...narrowing(target, map, arena),
        }),
      );
      return new KernelIteratorLink(program, target, parts, parts.own(new Fd(fd, label)));
    } catch (error) {
      throw explainAttach({ program, target, capability: "CAP_BPF and CAP_PERFMON" }, error, {
        EBADF: "this iterator walks over a table, and none was given",
        EINVAL: "this iterator does not take such a table, process or thread",
      });
    }
  });
}

/** The kernel takes any number, and then walks over nothing. */
function checkTask(program: KernelProgram, target: Target): void {
  for (const [what, id] of [
    ["process", target.pid],
    ["thread", target.tid],
  ] as const) {
    if (id !== 0 && !existsSync(`/proc/${id}`))
      throw cannotAttach(program, target, `there is no such ${what}`);
  }
}

/** What the iterator is narrowed to; a kernel that knows no narrowing takes none. */
function narrowing(
  { pid, tid }: Target,
  map: RawMap | undefined,
  arena: Arena,
): Parameters<typeof linkCreateIter.encode>[0] {
  const info =
    map !== undefined
      ? iterOverMap.encode({ map_fd: kernelMap(map).fd })
      : pid !== 0 || tid !== 0
        ? iterOverTasks.encode({ pid, tid })
        : new Uint8Array(0);
  return { iter_info: arena.in(info), iter_info_len: info.length };
}

class KernelIteratorLink extends KernelLink implements IteratorLink {
  readonly #link: Fd;

  constructor(program: KernelProgram, target: Target, parts: Scope, link: Fd) {
    super(program, target, parts);
    this.#link = link;
  }

  open(): IteratorReader {
    return new Reader(
      new Fd(bpf("BPF_ITER_CREATE", iterCreate, { link_fd: this.#link.number }), this.#link.label),
    );
  }
}

/** One walk: the program runs while its output is read. */
class Reader implements IteratorReader {
  readonly #fd: Fd;

  constructor(fd: Fd) {
    this.#fd = fd;
  }

  read(into: Uint8Array): number {
    for (;;) {
      try {
        return readSync(this.#fd.number, into);
      } catch (error) {
        const code = systemCode(error);
        // EAGAIN: a million objects went by without output, and the walk goes on with the next read.
        if (code !== "EAGAIN" && code !== "EINTR")
          throw new SyscallError(`read(${this.#fd.label})`, code ?? String(error));
      }
    }
  }

  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }
}
