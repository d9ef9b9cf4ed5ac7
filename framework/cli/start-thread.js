// Starts a thread from its sources: threads do not inherit how the process that starts them reads TypeScript.
import { workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
await import(workerData.source);
