/** The thread that traces: waiting for tasks blocks it, and only the thread that traces a task may ask about it. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Architecture } from "../contexts/registers.ts";
import { Interests, Mailbox, type Report, type Request } from "./mailbox.ts";
import { Tracer } from "./tracer.ts";

/** What the thread is started with. */
export interface ThreadData {
  readonly arch: Architecture;
  readonly mailbox: SharedArrayBuffer;
  readonly interests: SharedArrayBuffer;
  readonly ownName: string;
  readonly bell: number;
}

const port = parentPort!;
const { arch, mailbox, interests, ownName, bell } = workerData as ThreadData;
new Tracer({
  arch,
  ownName,
  bell,
  mailbox: new Mailbox(mailbox),
  interests: new Interests(interests),
  report: (report: Report) => port.postMessage(report),
  nextRequest: () => receiveMessageOnPort(port)?.message as Request | undefined,
}).run();
