import { readFileSync } from "node:fs";
import { kernelConfig } from "../sys/proc.ts";

/**
 * What the kernel keeps even from root: "none", "integrity" (no programs that could change it, such as fentry and LSM
 * ones) or "confidentiality". undefined where nothing tells.
 */
export function lockdownMode(): string | undefined {
  const forced = ["integrity", "confidentiality"].find(
    (mode) => kernelConfig()?.get(`CONFIG_LOCK_DOWN_KERNEL_FORCE_${mode.toUpperCase()}`) === "y",
  );
  return modeInForce() ?? forced;
}

/** The word in brackets is the one in force: "[none] integrity confidentiality". */
function modeInForce(): string | undefined {
  try {
    return /\[(\w+)\]/.exec(readFileSync("/sys/kernel/security/lockdown", "latin1"))?.[1];
  } catch {
    return undefined; // securityfs is not mounted, or the kernel knows no lockdown
  }
}
