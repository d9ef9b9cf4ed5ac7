"""Runs BCC's tools with a bcc module of our own that compiles nothing, and prints the programs that they ask for.

usage: gather.py FOLDER all|first < CASES

FOLDER is the installed bcc package; its parts that need no compiler (text helpers) are used as they are. CASES is a
JSON array of {"tool", "argv", "kfunc", "fields"}: a script, its arguments, whether BTF-bound programs are supported,
and which members kernel structs have ("struct.member"). For each case one line comes out:

{"programs": [{"text", "folder", "cflags", "usdt", "kinds": {FUNCTION: KIND}}], "ended": WHY}

With "first", a tool that gave a program is not run again; its other cases say "not run".
Each case runs in a child with a time limit; a tool is stopped when it begins to wait for events.
"""
import builtins
import importlib.machinery
import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import types
from unittest.mock import MagicMock

LIMIT_SECONDS = 60
# Commands that tools ask about the machine. No other is run: some examples set up networks.
HARMLESS = {"uname", "ausyscall", "lscpu", "getconf", "ldconfig", "cat", "ls", "pidof"}
# What tools look for before they begin; here only their text counts.
SYMBOLS = ("btrfs_file_operations", "ext4_file_operations", "vm_stat", "vm_zone_stat", "vm_node_stat", "zpl_iter_read")


class Waiting(BaseException):
    """The tool has set everything up."""


def wait(*_args, **_keywords):
    raise Waiting("waits for events")


def text_of(value):
    return value.decode() if isinstance(value, bytes) else str(value)


class Usdt:
    """Takes the place of USDT: every probe exists."""

    def __init__(self, pid=None, path=None):
        self.functions = []

    def enable_probe(self, probe, fn_name):
        self.functions.append(text_of(fn_name))

    enable_probe_or_bail = enable_probe

    def get_probe_arg_ctype(self, _probe, _index):
        return "unsigned long long"

    def get_context(self):
        return None

    def enumerate_probes(self):
        return []

    def get_text(self):
        return ""


class Function:
    def __init__(self, name):
        self.name = name
        self.fd = self.sock = 0


def attacher(kind):
    """A method that notes what kind of program the function given as fn_name (or first) is."""

    def attach(self, *args, fn_name=None, **keywords):
        chosen = fn_name if fn_name is not None else keywords.get("fn")
        if isinstance(chosen, Function):
            chosen = chosen.name
        if chosen:
            self._program["kinds"].setdefault(text_of(chosen), kind)
        return MagicMock()

    return attach


KINDS = {1: "socket_filter", 2: "kprobe", 3: "sched_cls", 4: "sched_act", 5: "tracepoint", 6: "xdp",
         7: "perf_event", 8: "cgroup_skb", 9: "cgroup_sock", 10: "lwt_in", 11: "lwt_out", 12: "lwt_xmit",
         13: "sock_ops", 14: "sk_skb", 15: "cgroup_device", 16: "sk_msg", 17: "raw_tracepoint",
         18: "cgroup_sock_addr"}
PREFIXES = ("sys_", "__x64_sys_", "__arm64_sys_")


class Bpf:
    """Takes the place of BPF: notes texts and attachments."""

    SOCKET_FILTER, KPROBE, SCHED_CLS, SCHED_ACT, TRACEPOINT, XDP, PERF_EVENT = range(1, 8)
    CGROUP_SKB, CGROUP_SOCK, LWT_IN, LWT_OUT, LWT_XMIT, SOCK_OPS, SK_SKB, CGROUP_DEVICE, SK_MSG = range(8, 17)
    RAW_TRACEPOINT, CGROUP_SOCK_ADDR = 17, 18
    XDP_FLAGS_UPDATE_IF_NOEXIST, XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE = 1, 2, 4, 8
    XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)
    programs = []
    case = {}

    def __init__(self, src_file=None, hdr_file=None, text=None, debug=0, cflags=(), usdt_contexts=(), **_others):
        folder = os.path.dirname(os.path.abspath(self.case["tool"]))
        if src_file:
            path = text_of(src_file)
            if not os.path.isfile(path):
                path = os.path.join(folder, path)
            folder = os.path.dirname(os.path.abspath(path))
            with open(path) as file:
                text = file.read()
        self._program = {
            "text": text_of(text),
            "folder": folder,
            "cflags": [text_of(flag) for flag in cflags],
            "usdt": len(usdt_contexts) > 0,
            "kinds": {},
        }
        for context in usdt_contexts:
            for name in context.functions:
                self._program["kinds"][name] = "uprobe"
        self.programs.append(self._program)
        self._tables = {}

    attach_kprobe = attacher("kprobe")
    attach_kretprobe = attacher("kretprobe")
    attach_uprobe = attacher("uprobe")
    attach_uretprobe = attacher("uprobe")
    attach_tracepoint = attacher("tracepoint")
    attach_raw_tracepoint = attacher("raw_tracepoint")

    def attach_perf_event(self, ev_type=-1, ev_config=-1, fn_name=b"", **_others):
        self._program["kinds"].setdefault(text_of(fn_name), "perf_event")

    @staticmethod
    def attach_raw_socket(_function, _device):
        pass

    def attach_xdp(self, _device, function, _flags=0):
        pass

    def load_func(self, func_name, prog_type, *_others, **_keywords):
        name = text_of(func_name)
        self._program["kinds"][name] = KINDS[prog_type]
        return Function(name)

    def __getitem__(self, key):
        return self.get_table(key)

    def get_table(self, name, *_others, **_keywords):
        return self._tables.setdefault(text_of(name), MagicMock())

    perf_buffer_poll = kprobe_poll = ring_buffer_poll = ring_buffer_consume = staticmethod(wait)
    perf_buffer_consume = trace_fields = trace_readline = trace_print = staticmethod(wait)

    def num_open_kprobes(self):
        return 1

    num_open_uprobes = num_open_tracepoints = num_open_kprobes

    def __getattr__(self, _name):
        return MagicMock()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False

    functions = frozenset()

    @classmethod
    def get_kprobe_functions(cls, pattern):
        expression = re.compile(text_of(pattern))
        return {name.encode() for name in cls.functions if expression.fullmatch(name)}

    @classmethod
    def ksymname(cls, name):
        return 1 if text_of(name) in cls.functions else -1

    def get_syscall_prefix(self):
        return b"__x64_sys_"

    def get_syscall_fnname(self, name):
        return b"__x64_sys_" + text_of(name).encode()

    def fix_syscall_fnname(self, name):
        plain = text_of(name)
        for prefix in PREFIXES:
            if plain.startswith(prefix):
                return b"__x64_sys_" + plain[len(prefix):].encode()
        return plain.encode()

    @staticmethod
    def tracepoint_exists(category, event):
        return os.path.isdir(f"/sys/kernel/tracing/events/{text_of(category)}/{text_of(event)}")

    @staticmethod
    def get_tracepoints(pattern):
        expression = re.compile(text_of(pattern))
        root = "/sys/kernel/tracing/events"
        names = [f"{category}:{event}" for category in os.listdir(root)
                 if os.path.isdir(f"{root}/{category}") for event in os.listdir(f"{root}/{category}")]
        return [name.encode() for name in names if expression.fullmatch(name)]

    @staticmethod
    def get_user_functions_and_addresses(_name, _pattern):
        return [(b"malloc", 1)]

    @staticmethod
    def get_user_functions(_name, _pattern):
        return [b"malloc"]

    @staticmethod
    def get_user_addresses(_name, _pattern):
        return [1]

    @staticmethod
    def get_probe_limit():
        return 1000

    @classmethod
    def support_kfunc(cls):
        return cls.case["kfunc"]

    support_lsm = support_kfunc

    @staticmethod
    def support_raw_tracepoint():
        return True

    support_raw_tracepoint_in_module = support_raw_tracepoint

    @classmethod
    def kernel_struct_has_field(cls, struct, field):
        return 1 if cls.case["fields"].get(f"{text_of(struct)}.{text_of(field)}") else 0

    @staticmethod
    def find_library(name):
        return f"/usr/lib/{text_of(name)}".encode()

    @staticmethod
    def find_exe(name):
        return b"/usr/bin/" + text_of(name).encode()

    @staticmethod
    def monotonic_time():
        return 1e9

    @staticmethod
    def generate_auto_includes(_words):
        # Types come without includes here, and BCC is given the text as a user would write it.
        headers = {"time": "linux/time.h", "fs": "linux/fs.h", "file": "linux/fs.h", "bio": "linux/blkdev.h",
                   "request": "linux/blkdev.h", "alloc": "linux/slab.h", "sk_buff": "linux/netdevice.h",
                   "net_device": "linux/netdevice.h"}
        words = list(_words)
        found = {header for word, header in headers.items() if any(word in text for text in words)}
        return "".join(f"#include <{header}>\n" for header in sorted(found))


class Anything(types.ModuleType):
    """A module in which every name exists."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock()
        setattr(self, name, value)
        return value


class Missing:
    """Finds the modules that examples import and this machine lacks, or that would touch its network."""

    NAMES = {"pyroute2", "netaddr", "simulation", "bcc.libbcc", "bcc.table"}

    def find_spec(self, name, _path=None, _target=None):
        if name in self.NAMES or name.split(".")[0] in self.NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Anything(spec.name)

    def exec_module(self, module):
        pass


def install(folder):
    sys.meta_path.insert(0, Missing())
    bcc = types.ModuleType("bcc")
    bcc.__path__ = [folder]
    bcc.__version__ = "0"
    sys.modules["bcc"] = bcc
    from bcc import utils, perf
    utils.get_online_cpus = utils.get_possible_cpus = lambda: [0]
    bcc.BPF, bcc.USDT, bcc.USDTException, bcc.BPFAttachType = Bpf, Usdt, Exception, MagicMock()
    bcc.DEBUG_PREPROCESSOR = bcc.DEBUG_SOURCE = bcc.DEBUG_BPF = bcc.DEBUG_LLVM_IR = 0
    for name in ("ArgString", "StrcmpRewrite", "printb", "FILESYSTEMENCODING"):
        if hasattr(utils, name):
            setattr(bcc, name, getattr(utils, name))
    for name in ("PerfType", "PerfHWConfig", "PerfSWConfig", "PerfEventSampleFormat", "Perf"):
        if hasattr(perf, name):
            setattr(bcc, name, getattr(perf, name))
        else:
            setattr(bcc, name, MagicMock())
    usdt = types.ModuleType("bcc.usdt")
    usdt.USDT, usdt.USDTException, usdt.USDTProbe = Usdt, Exception, MagicMock()
    sys.modules["bcc.usdt"] = usdt


def only_harmless(command):
    words = command.split() if isinstance(command, str) else [text_of(word) for word in command]
    if os.path.basename(words[0]) not in HARMLESS:
        raise OSError(f"{words[0]} is not run")


def guard():
    start = subprocess.Popen.__init__

    def guarded(self, args, *others, **keywords):
        only_harmless(args)
        start(self, args, *others, **keywords)

    subprocess.Popen.__init__ = guarded
    os.system = wait
    read = builtins.open

    def opened(path, *others, **keywords):
        if path == "/proc/kallsyms":
            with read(path) as lines:
                return io.StringIO(lines.read() + "".join(f"0 d {name}\n" for name in SYMBOLS))
        return read(path, *others, **keywords)

    builtins.open = opened
    import curses
    curses.wrapper = lambda function, *others: function(MagicMock(), *others)
    for name in ("initscr", "nocbreak", "endwin", "cbreak", "echo", "noecho"):
        setattr(curses, name, MagicMock())
    import time
    time.sleep = wait
    import select
    select.poll = select.epoll = wait


def run_case(case):
    guard()
    Bpf.case = case
    tool = case["tool"]
    sys.argv = [tool, *case["argv"]]
    sys.path.insert(0, os.path.dirname(os.path.abspath(tool)))
    sys.stdout = sys.stderr = io.StringIO()
    ended = "came to its end"
    try:
        # By its own name even where the file has no .py ending.
        runpy.run_path(tool, run_name="__main__")
    except Waiting as reason:
        ended = str(reason)
    except SystemExit as reason:
        ended = f"exit {reason.code}: {sys.stderr.getvalue()[-300:].strip()}"
    except BaseException as reason:
        ended = f"{type(reason).__name__}: {reason}"
    return {"programs": Bpf.programs, "ended": ended}


def in_child(case):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        signal.alarm(LIMIT_SECONDS)
        with os.fdopen(writer, "w") as out:
            json.dump(run_case(case), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        line = answer.read()
    os.waitpid(child, 0)
    return line or json.dumps({"programs": [], "ended": "was ended: too slow, or ended the process itself"})


def kernel_functions():
    with open("/proc/kallsyms") as lines:
        rows = [line.split() for line in lines]
    return frozenset(row[2] for row in rows if row[1] in "tT" and len(row) == 3)


def main():
    cases = json.load(sys.stdin)
    install(sys.argv[1])
    Bpf.functions = kernel_functions()
    done = set()
    for case in cases:
        if case["tool"] in done:
            print(json.dumps({"programs": [], "ended": "not run"}), flush=True)
            continue
        line = in_child(case)
        if sys.argv[2] == "first" and json.loads(line)["programs"]:
            done.add(case["tool"])
        print(line, flush=True)


main()
