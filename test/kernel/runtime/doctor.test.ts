import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { featureNames } from "../../../framework/kernel/features.ts";
import type { Finding } from "../../../framework/runtimes.ts";
import { SCRIPT_TIMEOUT_MS } from "../../support/events.ts";
import { needsFeature, needsKernel } from "../../support/skip.ts";

const COMMAND = fileURLToPath(new URL("../../../framework/cli/rxbpf.js", import.meta.url));

interface Report {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
}

/** Where the commands are that take things away, and none of those that tests in guests need. */
const BARE_PATH = "/usr/bin:/bin";

/** What the script below takes away, and what brings it back. */
const MISSING: Readonly<Record<string, string>> = {
  sysfs: "sudo mount -t sysfs sysfs /sys",
  "types (BTF)": "sudo mount -t sysfs sysfs /sys",
  tracefs: "sudo mount -t tracefs tracefs /sys/kernel/tracing",
  bpffs: "sudo mount -t bpf bpf /sys/fs/bpf",
  cgroup2: "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup",
  tracepoint: "sudo mount -t tracefs tracefs /sys/kernel/tracing",
  uprobe: "sudo mount -t sysfs sysfs /sys",
  depmod: "sudo apt-get install kmod",
  clang: "unset RXBPF_CLANG",
};

function doctor(args: readonly string[], user: { readonly uid?: number; readonly gid?: number } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, "doctor", ...args], {
    encoding: "utf8",
    ...user,
  });
  return { status, stdout, stderr };
}

function find(report: Report, name: string): Finding {
  const finding = report.findings.find((candidate) => candidate.name === name);
  if (finding === undefined) throw new Error(`the doctor says nothing of ${name}`);
  return finding;
}

describe("feature probes", () => {
  test.for(featureNames)(
    "%s is absent only on kernels that are older, or built without it",
    (feature, context) => {
      needsKernel(context);
      needsFeature(context, feature);
    },
  );
});

describe("rxbpf doctor", { timeout: SCRIPT_TIMEOUT_MS }, () => {
  test("as a user who may: all that is needed is there, and the exit status is 0", (context) => {
    needsKernel(context);
    const { status, stdout } = doctor(["--json"]);
    const report = JSON.parse(stdout) as Report;
    expect({ status, ok: report.ok }).toEqual({ status: 0, ok: true });
    expect(find(report, "bpf(2)").state).toBe("yes");
    expect(find(report, "clang").detail).toMatch(/clang/);
    for (const { name, state, fix } of report.findings) {
      if (state === "yes") expect(fix, name).toBeNull();
      if (state === "no") expect(fix, name).toMatch(/\S/);
    }
  });

  test("as an ordinary user: what is missing comes with the line that mends it, and the exit status is 1", (context) => {
    if (process.geteuid?.() !== 0) context.skip("only root can become somebody else");
    const { status, stdout, stderr } = doctor(["--json"], { uid: 65534, gid: 65534 });
    expect(stderr).toBe("");
    const report = JSON.parse(stdout) as Report;
    expect({ status, ok: report.ok }).toEqual({ status: 1, ok: false });
    expect(find(report, "bpf(2)")).toMatchObject({
      state: "no",
      fix: expect.stringContaining("setcap cap_bpf"),
    });
    expect(find(report, "CAP_NET_ADMIN").state).toBe("no");
    // Without access nothing is said to be absent that could only not be tried.
    expect(find(report, "ringbuf").state).toBe("unknown");
  });

  test("each thing that is missing has the line that mends it", (context) => {
    needsKernel(context);
    if (spawnSync("unshare", ["-m", "true"]).status !== 0) context.skip("no mount namespaces here");
    // A place with an empty /sys, without the tools of /usr/sbin, and with a compiler that is none.
    const script =
      'umount -l -R /sys && mount -t tmpfs none /sys && mount -t tmpfs none /usr/sbin && exec "$@"';
    const { status, stdout } = spawnSync(
      "unshare",
      ["-m", "sh", "-c", script, "sh", process.execPath, COMMAND, "doctor", "--json"],
      { encoding: "utf8", env: { ...process.env, PATH: BARE_PATH, RXBPF_CLANG: "/no/such/clang" } },
    );
    const report = JSON.parse(stdout) as Report;
    expect({ status, ok: report.ok }).toEqual({ status: 1, ok: false });
    const shown = Object.keys(MISSING).map((name) => {
      const { state, fix } = find(report, name);
      return [name, state, fix];
    });
    expect(shown).toEqual(Object.entries(MISSING).map(([name, fix]) => [name, "no", fix]));
  });

  test("as text: groups, marks and lines", (context) => {
    needsKernel(context);
    const { stdout } = doctor([]);
    expect(stdout).toMatch(/^kernel\n {2}\+ bpf\(2\): /);
    expect(stdout).toMatch(/^ {2}[+-] tracefs: /m);
    expect(stdout).toMatch(/\ngood: [^\n]+\n$/);
  });

  test("an unknown option is wrong usage", () => {
    const { status, stderr } = doctor(["--jason"]);
    expect(status).toBe(2);
    expect(stderr).toContain("usage: rxbpf doctor");
  });
});
