/** Where the guest sees the folder it shares with the runner. */
export const sharedFolder = "/run/rxbpf";

/** The names of the two 9p exports, as QEMU offers and the guest mounts them. */
export const exports9p = { host: "host", shared: "shared" } as const;

/** Names of the files in the shared folder. */
export const sharedFiles = {
  /** Written by the runner: what the guest runs. */
  command: "command.sh",
  /** Written by the guest when it is about to run the command. */
  started: "started",
  /** Everything the command prints. */
  output: "output",
  /** One line of JSON for each thing that happened in a test run. */
  results: "results",
  /** The command's exit status; there only when it ended. */
  status: "status",
} as const;

/** What the init script must know about the host. */
export interface InitSettings {
  readonly release: string;
  /** Absolute path on the host of the folder with the kernel's modules. */
  readonly modules: string;
  /** The same of the options that it was built with. */
  readonly config: string;
  /** False when the checkout or the tools lie below /tmp on the host. */
  readonly ownTmp: boolean;
}

/**
 * The guest's first process, for busybox: the host's root read-only over 9p, an overlay that takes writes in memory,
 * the kernel's file systems, then the command in a chroot, then power off.
 *
 * A failing step says so on the console and powers off; the runner sees that no status was written.
 */
export function initScript({ release, modules, config, ownTmp }: InitSettings): string {
  // Large messages matter: reading node_modules is mostly round trips. This is the largest that virtio takes.
  const options = "trans=virtio,version=9p2000.L,msize=512000";
  return `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
die() { echo "guest init: $*" >/dev/console; sleep 1; poweroff -f; }
mkdir -p /proc /sys /dev /lower /upper /merged
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

while read -r module; do
  insmod "/modules/$module" || die "cannot load $module"
done </modules/order

mount -t 9p -o ro,cache=loose,${options} ${exports9p.host} /lower || die "cannot mount the host's root"
mount -t tmpfs -o size=75% tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /merged || die "cannot mount the overlay"

cd /merged
mkdir -p lib/modules/${release} proc sys dev run tmp
mount --bind .${quoted(modules)} lib/modules/${release} || die "cannot show the kernel's modules"
# Which tests may be skipped is decided by the options that the kernel was built with.
mkdir -p boot
cp .${quoted(config)} boot/config-${release} || die "cannot show the kernel's configuration"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
${ownTmp ? "mount -t tmpfs -o mode=1777 tmpfs tmp" : ""}
mount -t tracefs tracefs sys/kernel/tracing
mount -t debugfs debugfs sys/kernel/debug
mount -t securityfs securityfs sys/kernel/security
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
ln -sf /proc/self/fd dev/fd
ln -sf /proc/self/fd/0 dev/stdin
ln -sf /proc/self/fd/1 dev/stdout
ln -sf /proc/self/fd/2 dev/stderr
ip link set lo up
hostname guest
# The kernel loads what a request needs (a queueing discipline, a protocol) by a program of the first root, not of the chroot's.
cat >/bin/load-module <<'END'
#!/bin/busybox sh
exec /bin/busybox chroot /merged /sbin/modprobe "$@"
END
chmod 755 /bin/load-module
echo /bin/load-module >/proc/sys/kernel/modprobe

shared=/merged${sharedFolder}
mkdir -p $shared
mount -t 9p -o rw,cache=none,${options} ${exports9p.shared} $shared || die "cannot mount the shared folder"
: >$shared/${sharedFiles.started}
chroot /merged /bin/sh ${sharedFolder}/${sharedFiles.command} >>$shared/${sharedFiles.output} 2>&1 </dev/null
echo $? >$shared/${sharedFiles.status}
sync
poweroff -f
`;
}

/** What the guest runs: a shell command in the checkout's folder, with an environment of its own. */
export function commandScript(command: {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly text: string;
}): string {
  const variables = Object.entries(command.environment).map(([name, value]) => quoted(`${name}=${value}`));
  return `cd ${quoted(command.folder)} || exit 125
exec env -i ${variables.join(" ")} /bin/sh -c ${quoted(command.text)}
`;
}

/** Text as one word of a shell command. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
