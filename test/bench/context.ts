import type { Bcc } from "./bcc.ts";
import type { Subjects } from "./build.ts";
import type { Row } from "./report.ts";
import type { Command } from "./session.ts";

/** What a group of rows measures with. */
export interface Context {
  /** A temporary folder, gone after the run. */
  readonly folder: string;
  readonly subjects: Pick<Subjects, "path">;
  /** BCC, or why it cannot run. */
  readonly bcc: Bcc | string;
  /** How often each measurement is taken, on each side in turn. */
  readonly rounds: number;
  /** Takes a finished row. */
  readonly report: (row: Row) => void;
}

/** Our compiled script under node, with objects cached in a folder of the bench's own. */
export function subjectCommand(
  { subjects, folder }: Context,
  name: string,
  ...args: readonly string[]
): Command {
  return {
    argv: [process.execPath, subjects.path(name), ...args],
    env: { RXBPF_CACHE: `${folder}/objects` },
  };
}
