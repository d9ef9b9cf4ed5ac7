/** What a kernel prints when it cannot be trusted any more. */
const fatal = [
  /Kernel panic - not syncing/,
  /BUG: (soft lockup|unable to handle|kernel NULL|scheduling while atomic|Bad )/,
  /hard LOCKUP/,
  /rcu: INFO: .*detected .*stall/,
  /\bOops: /,
  /general protection fault/,
  /kernel BUG at /,
];

/** Lines kept for the report; a trace of a panic has about 40. */
const kept = 60;

/** A guest's kernel console: keeps its end, and notices the messages after which going on makes no sense. */
export class GuestConsole {
  readonly #lines: string[] = [];
  #unfinished = "";
  #fatal: string | undefined;

  /** Takes text as it arrives, in pieces of any size. */
  write(text: string): void {
    const lines = (this.#unfinished + text).split("\n");
    this.#unfinished = lines.pop() ?? "";
    for (const line of lines) this.#add(line.trimEnd());
  }

  /** The first fatal line, if one came. */
  get fatal(): string | undefined {
    return this.#fatal;
  }

  /** The last lines, oldest first. */
  get tail(): readonly string[] {
    return this.#unfinished === "" ? this.#lines : [...this.#lines, this.#unfinished];
  }

  #add(line: string): void {
    if (line === "") return;
    this.#lines.push(line);
    if (this.#lines.length > kept) this.#lines.shift();
    if (this.#fatal === undefined && fatal.some((pattern) => pattern.test(line))) this.#fatal = line;
  }
}
