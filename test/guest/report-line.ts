/** What the reporter inside the guest tells the runner outside: one JSON object on each line. */
export type ReportLine = FileStarted | FileEnded | TestStarted | TestEnded | ReportProblem | RunEnded;

/** A test file goes to a worker. Tests that block their worker never get as far as a line of their own. */
export interface FileStarted {
  readonly kind: "file-start";
  readonly file: string;
}

export interface FileEnded {
  readonly kind: "file-end";
  readonly file: string;
}

/** A test begins; without its end, this is the test during which the guest died. */
export interface TestStarted {
  readonly kind: "start";
  readonly test: string;
}

export interface TestEnded {
  readonly kind: "test";
  /** File and full name. */
  readonly test: string;
  readonly state: "passed" | "failed" | "skipped";
  readonly durationMs: number;
  /** The reason of a skip (empty when none was given), the messages of a failure. */
  readonly detail: string;
}

/** A failure outside of tests: a file that does not load, a hook that throws, an unhandled rejection. */
export interface ReportProblem {
  readonly kind: "problem";
  readonly where: string;
  readonly detail: string;
}

/** vitest came to its regular end. */
export interface RunEnded {
  readonly kind: "end";
  readonly reason: string;
}

/** Tells tests that they run in a guest, which is thrown away afterwards. */
export const guestVariable = "RXBPF_IN_GUEST";

/** Tells the reporter which file to append to. */
export const resultsVariable = "RXBPF_GUEST_RESULTS";
