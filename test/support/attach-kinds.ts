import { type AttachType, attachTypes } from "../../framework/programs/attach-types.ts";

/** A way to attach, and the test that causes its event and sees exactly that. */
export interface AttachKind {
  /** What it belongs to, as pages head it. */
  readonly group: string;
  /** What is attached how; names it in records and pages. */
  readonly name: string;
  /** A file of test/kernel/bcc. */
  readonly file: string;
  /** The end of the test's full name. Where several tests have it, all must pass. */
  readonly test: string;
}

type Row = readonly [name: string, file: string, test: string];

const group = (name: string, rows: readonly Row[]): readonly AttachKind[] =>
  rows.map(([what, file, test]) => ({ group: name, name: what, file: `${file}.test.ts`, test }));

/** Types whose tests are not named after them. */
const OTHER_TESTS: Readonly<Record<string, string>> = {
  cgroup_inet_ingress: "see packets that its processes receive and send, and no others",
  cgroup_inet_egress: "see packets that its processes receive and send, and no others",
  cgroup_sock_ops: "send connections elsewhere, see them established, and see socket options set",
  cgroup_device: "forbid writing settings of the kernel, and devices",
  lsm_cgroup: "lsm_cgroup decides for the processes of its cgroup, and no others, until it is detached",
  cgroup_sysctl: "forbid writing settings of the kernel, and devices",
};

/** Every type that a cgroup takes. */
const cgroupRows = Object.entries<AttachType>(attachTypes).flatMap(([name, { at }]): readonly Row[] => {
  if (at !== "cgroup") return [];
  const other = OTHER_TESTS[name];
  return [
    other === undefined
      ? [name, "cgroup-sockets", `${name} sees each call once, until it is detached`]
      : [name, "cgroups", other],
  ];
});

/** Every way to attach that there is. */
// biome-ignore format: a table reads best with one row per line
export const attachKinds: readonly AttachKind[] = [
  ...group("Kernel functions", [
    ["kprobe", "kprobe", "attach_kprobe runs a function at entry until detach_kprobe"],
    ["kretprobe", "kprobe", "attach_kretprobe sees the result until detach_kretprobe"],
    ["kprobe at an offset", "kprobe", "a probe at an offset runs where an instruction starts, and is refused elsewhere"],
    ["kretprobe with maxactive (tracefs)", "kprobe", "maxactive makes the return probe in tracefs, and detaching removes it there"],
    ["kprobe by name", "kprobe", "kprobe__function attaches by itself"],
    ["kprobes by regular expression", "functions", "event_re attaches to all functions that match, at entry and return, until it is detached"],
    ["kprobe.multi section", "functions", 'SEC("kprobe.multi/pattern") attaches by itself'],
    ["kprobe of a module's function", "functions", "functions of modules are found by name, and by module and name"],
    ["kprobe of a system call", "probes", "syscall__ functions get the call's parameters, the fourth too"],
    ["the call's tracepoint in its place", "syscall-fallback", "a probe of a system call uses its tracepoint, and says so once"],
    ["fentry (KFUNC_PROBE)", "traced", "KFUNC_PROBE runs at the entry, with the function's arguments"],
    ["fexit (KRETFUNC_PROBE)", "traced", "KRETFUNC_PROBE also has the result, behind the arguments"],
    ["fentry and fexit in a module", "functions", "functions of modules: MODULE_KFUNC_PROBE, MODULE_KRETFUNC_PROBE, and sections"],
    ["fmod_ret (KMOD_RET)", "functions", "KMOD_RET sees the function's result so far and can change it"],
    ["lsm (LSM_PROBE)", "functions", "LSM_PROBE of BCC's dialect detaches by detach_lsm"],
    ["lsm, sleepable", "functions", "LSM_PROBE refuses what it returns an error for, and sleepable ones attach as well"],
  ]),
  ...group("Tracepoints", [
    ["tracepoint", "attach", "attach_tracepoint runs a function there until detach_tracepoint"],
    ["tracepoint by name", "probes", "TRACEPOINT_PROBE gives the tracepoint's fields in args"],
    ["tracepoints by regular expression", "choosing", "tp_re attaches to every tracepoint that begins so, and its link detaches all"],
    ["raw tracepoint", "attach", "attach_raw_tracepoint runs a function there until detach_raw_tracepoint"],
    ["raw tracepoint by name", "probes", "RAW_TRACEPOINT_PROBE gives the tracepoint's own arguments in ctx->args"],
    ["tracepoints of a module, also raw", "attach", "run functions, by name and raw, until they are detached"],
    ["tp_btf", "traced", "tp_btf programs get the tracepoint's arguments with their types"],
  ]),
  ...group("User functions", [
    ["uprobe by symbol, in one process", "uprobe", "attach_uprobe by symbol counts exactly the calls of that function, until it is detached"],
    ["uretprobe", "uprobe", "parameters and results are those of the call"],
    ["uprobe by address", "uprobe", "an address of the file is the same place as its symbol"],
    ["uprobe at an offset", "uprobe", "an offset into a function is another place than its beginning"],
    ["uprobes by regular expression", "uprobe", "a regular expression attaches to every function that matches from its name's beginning"],
    ["uprobe in all processes", "uprobe", "a pid leaves other processes of the program alone; without one all are probed"],
    ["uprobe of a static function", "uprobe", "static functions are found as well"],
    ["uprobe of a C++ function", "uprobe", "is probed by symbol and by regular expression, and its functions have their written names"],
    ["uprobe of a library by its short name", "uprobe", "the C library is found by its short name, in the process and in general"],
    ["uprobe in another mount namespace", "uprobe", "a process in a mount namespace of its own has its own files at the paths"],
    ["uprobe sections", "uprobe", 'SEC("uprobe/...") and SEC("uretprobe/...") attach by themselves'],
    ["USDT, all forms of arguments", "usdt", "arguments are read from registers, memory, constants and global variables"],
    ["USDT with a counter, in one process", "usdt", "a probe with a counter is reached only while it is enabled for the process"],
    ["USDT with a counter, in all processes", "usdt", "a probe with a counter is enabled in all processes, also those started later"],
    ["USDT in a Node process", "usdt", "is probed in the native library that it has loaded"],
  ]),
  ...group("Perf events", [
    ["software event by period", "perf-events", "by period: a page fault each, for one process"],
    ["software event by frequency, on all CPUs", "perf-events", "by frequency: a busy process is seen, with all CPUs and for everybody"],
    ["on one CPU", "perf-events", "on one CPU only"],
    ["for a process and its children", "perf-events", "of one process and the processes that it makes, and of nobody else"],
    ["for threads of a process", "perf-events", "threads that a process has already are seen too"],
    ["raw attributes", "perf-events", "raw attributes by the kernel's names: nothing of the kernel is sampled"],
    ["on a CPU that comes back", "cpus", "has its perf events again"],
    ["perf buffer of a CPU that comes back", "cpus", "has its perf ring again, for streams"],
  ]),
  ...group("Devices", [
    ["XDP by a link", "devices", "XDP in the kernel's best way > sees each packet that comes, until the link is disposed"],
    ["XDP by a link: modes", "devices", "XDP in the kernel's best way > runs in the mode that the flags ask for"],
    ["XDP by a link: replacing", "devices", "XDP in the kernel's best way > XDP_FLAGS_REPLACE puts a program in the place of the expected one, whose link is closed by it"],
    ["XDP by netlink", "devices", "XDP through netlink > sees each packet that comes, until the link is disposed"],
    ["XDP by netlink: modes", "devices", "XDP through netlink > runs in the mode that the flags ask for"],
    ["XDP by netlink: replacing", "devices", "XDP through netlink > XDP_FLAGS_REPLACE puts a program in the place of the expected one, whose link is closed by it"],
    ["tcx ingress", "devices", "attachTc with a tcx link > sees packets that come in on ingress, and only those"],
    ["tcx egress", "devices", "attachTc with a tcx link > sees packets that go out on egress"],
    ["clsact ingress", "devices", "attachTc with a clsact filter > sees packets that come in on ingress, and only those"],
    ["clsact egress", "devices", "attachTc with a clsact filter > sees packets that go out on egress"],
  ]),
  ...group("Sockets and network namespaces", [
    ["socket filter on a device", "network", "attach_raw_socket gives a socket that holds what the filter keeps"],
    ["socket filter on a socket of one's own", "sockets", "attachSocket filters what a socket of one's own receives, until the link is disposed"],
    ["sk_reuseport", "sockets", "sk_reuseport chooses among the sockets of one port, until its link is disposed"],
    ["sk_msg", "sockets", "sk_msg at a table of sockets sees what they send, and nothing of those that come after it was detached"],
    ["sk_skb, parser and verdict", "sockets", "sk_skb parsers and verdicts at a table of sockets see what arrives"],
    ["sk_lookup", "sockets", "sk_lookup decides in this namespace who gets a connection, until the link is disposed"],
    ["flow_dissector", "sockets", "a flow dissector says what packets of this namespace belong together, until its link is disposed"],
  ]),
  ...group("Cgroups", cgroupRows),
  ...group("Iterators", [
    ["task, as records", "iterators", "records has one record per process, this one with its parent among them"],
    ["task, as text", "iterators", "text is what the program prints"],
    ["task, as a stream", "iterators", "events and lines are streams of one walk for each subscriber"],
    ["task_file of one process", "iterators", "task_file walks over the files of one process"],
    ["task of one thread", "iterators", "task walks over one thread"],
    ["bpf_map", "iterators", "bpf_map walks over all tables of the system"],
    ["bpf_map_elem", "iterators", "bpf_map_elem sees every entry of the table it is given"],
  ]),
];
