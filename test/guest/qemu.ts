import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GuestConsole } from "./console.ts";
import { exports9p, sharedFiles } from "./init.ts";
import type { GuestKernel } from "./kernels.ts";
import { findCommand } from "./tools.ts";

/** What one boot needs. */
export interface GuestRun {
  readonly kernel: GuestKernel;
  readonly initramfs: Uint8Array;
  /** Host folder that the guest sees as its shared folder. */
  readonly shared: string;
  readonly timeoutMs: number;
  readonly silenceMs: number;
  /** Ends the guest early when aborted. */
  readonly signal: AbortSignal;
  /** Called a few times a second; true when the guest did something new. */
  readonly poll: () => boolean;
  /** Called once, when the guest has started the command; milliseconds since power-on. */
  readonly onUp: (bootMs: number) => void;
}

/** How a boot ended. */
export interface GuestEnd {
  /** Why the guest was stopped or died; undefined when it powered itself off. */
  readonly trouble: string | undefined;
  /** The end of the kernel's console. */
  readonly console: readonly string[];
}

const pollMs = 200;

/** Booting is silent by design, so a shorter `silenceMs` holds only after it. */
const bootSilenceMs = 120_000;

/** Time for the lines that follow a fatal message to arrive. */
const lastWordsMs = 1500;

/** Boots a guest and watches it until it powers off, hangs, crashes or runs out of time. Never rejects for those. */
export async function runGuest(guest: GuestRun): Promise<GuestEnd> {
  const initramfs = join(guest.shared, "initramfs.cpio");
  writeFileSync(initramfs, guest.initramfs);
  const console = new GuestConsole();
  const qemu = spawn(
    findCommand("qemu-system-x86_64") ?? "qemu-system-x86_64",
    qemuArguments(guest, initramfs),
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const stop = () => void qemu.kill("SIGKILL");
  process.once("exit", stop);
  try {
    const trouble = await watch(guest, qemu, console);
    return { trouble, console: console.tail };
  } finally {
    stop();
    process.off("exit", stop);
  }
}

/**
 * No KVM: it is missing in most containers, and where /dev/kvm opens it may still hang.
 *
 * The kernel's own watchdogs get long limits, because a busy host can stop the guest for seconds.
 */
function qemuArguments({ kernel, shared }: GuestRun, initramfs: string): readonly string[] {
  const append = [
    "console=ttyS0 quiet panic=-1 oops=panic",
    "lsm=capability,bpf mitigations=off",
    "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120",
  ];
  const share = "security_model=none,multidevs=remap";
  return [
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"],
    ...["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"],
    ...["-kernel", kernel.image, "-initrd", initramfs, "-append", append.join(" ")],
    ...["-fsdev", `local,id=root,path=/,readonly=on,${share}`],
    ...["-device", `virtio-9p-pci,fsdev=root,mount_tag=${exports9p.host}`],
    ...["-fsdev", `local,id=run,path=${shared.replaceAll(",", ",,")},${share}`],
    ...["-device", `virtio-9p-pci,fsdev=run,mount_tag=${exports9p.shared}`],
  ];
}

/** Waits for the end; gives the reason unless the guest finished in good order. */
async function watch(
  guest: GuestRun,
  qemu: ChildProcess,
  console: GuestConsole,
): Promise<string | undefined> {
  const poweredOn = performance.now();
  let lastSign = poweredOn;
  let up = false;
  let exit: string | undefined;
  const heard = (data: Buffer) => {
    lastSign = performance.now();
    console.write(data.toString("latin1"));
  };
  qemu.stdout?.on("data", heard);
  qemu.stderr?.on("data", heard);
  qemu.once("error", (error) => {
    exit = `QEMU could not be started: ${error.message}`;
  });
  qemu.once("close", (status, signal) => {
    exit ??= status === 0 ? "" : `QEMU ended with ${signal ?? `status ${status}`}`;
  });

  for (;;) {
    const ended = exit;
    const now = performance.now();
    if (!up && existsSync(join(guest.shared, sharedFiles.started))) {
      up = true;
      lastSign = now;
      guest.onUp(now - poweredOn);
    }
    if (guest.poll()) lastSign = now;
    if (console.fatal !== undefined) {
      if (ended === undefined) await sleep(lastWordsMs);
      return `the kernel failed: ${console.fatal}`;
    }
    if (ended !== undefined) return ended === "" ? undefined : ended;
    if (guest.signal.aborted) return "interrupted";
    if (now - poweredOn > guest.timeoutMs)
      return `not finished after ${guest.timeoutMs / 1000} s (--timeout)`;
    const silenceMs = up ? guest.silenceMs : Math.max(guest.silenceMs, bootSilenceMs);
    if (now - lastSign > silenceMs) return `no output for ${silenceMs / 1000} s (--silence)`;
    await sleep(pollMs);
  }
}
