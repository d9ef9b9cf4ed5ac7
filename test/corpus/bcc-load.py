"""Compiles programs with BCC and loads their functions, without attaching any.

Reads lines of JSON and answers each with one line. Either {"do": "compile", "text", "folder", "cflags"}, answered with
{"seconds", "error", "license", "version", "tables": [{"fd", "name", "type", "key", "leaf", "entries", "flags"}],
"functions": {NAME: INSTRUCTIONS}}, the instructions in hexadecimal, with the descriptors of the compiler's process;
or {"do": "load", "compiled": ANSWER, "kinds": {FUNCTION: KIND}, "otherwise": KIND}, answered with
{NAME: {"ok", "insns", "error"}}. So what one kernel's machine compiled can be loaded on another kernel's.
"error" is null where all went well. Each request runs in a child, with a time limit.
"""
import ctypes
import json
import os
import signal
import struct
import sys
import time

from bcc import BPF
from bcc.libbcc import lib

LIMIT_SECONDS = 600
LOG_BYTES = 1 << 20
KINDS = {
    "kprobe": BPF.KPROBE, "kretprobe": BPF.KPROBE, "uprobe": BPF.KPROBE, "tracepoint": BPF.TRACEPOINT,
    "raw_tracepoint": BPF.RAW_TRACEPOINT, "perf_event": BPF.PERF_EVENT, "xdp": BPF.XDP,
    "sched_cls": BPF.SCHED_CLS, "sched_act": BPF.SCHED_ACT, "socket_filter": BPF.SOCKET_FILTER,
    "cgroup_skb": BPF.CGROUP_SKB, "sock_ops": BPF.SOCK_OPS, "sk_skb": BPF.SK_SKB, "sk_msg": BPF.SK_MSG,
    "lwt_in": BPF.LWT_IN, "lwt_out": BPF.LWT_OUT, "lwt_xmit": BPF.LWT_XMIT,
}
PREFIXES = (
    ("kprobe__", BPF.KPROBE), ("kretprobe__", BPF.KPROBE), ("tracepoint__", BPF.TRACEPOINT),
    ("raw_tracepoint__", BPF.RAW_TRACEPOINT), ("kfunc__", BPF.TRACING), ("kretfunc__", BPF.TRACING),
    ("kmod_ret__", BPF.TRACING), ("lsm__", BPF.LSM), ("bpf_iter__", BPF.TRACING),
)


def kind_of(name, kinds, otherwise):
    if name in kinds:
        return KINDS[kinds[name]]
    for prefix, kind in PREFIXES:
        if name.startswith(prefix):
            return kind
    return KINDS[otherwise]


def compiled(request):
    BPF._trace_autoload = lambda self: None
    os.chdir(request["folder"])
    began = time.perf_counter()
    b = BPF(text=request["text"], cflags=request["cflags"])
    seconds = time.perf_counter() - began
    names = [lib.bpf_function_name(b.module, index) for index in range(lib.bpf_num_functions(b.module))]
    return {
        "seconds": seconds,
        "error": None,
        "license": lib.bpf_module_license(b.module).decode(),
        "version": lib.bpf_module_kern_version(b.module),
        "tables": [table(b.module, index) for index in range(lib.bpf_num_tables(b.module))],
        "functions": {name.decode(): instructions(b.module, name) for name in names},
    }


def instructions(module, name):
    return ctypes.string_at(lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)).hex()


def table(module, index):
    name = lib.bpf_table_name(module, ctypes.c_size_t(index))
    return {
        "fd": lib.bpf_table_fd(module, name),
        "name": name.decode(),
        "type": lib.bpf_table_type_id(module, index),
        "key": lib.bpf_table_key_size(module, name),
        "leaf": lib.bpf_table_leaf_size(module, name),
        "entries": lib.bpf_table_max_entries_id(module, index),
        "flags": lib.bpf_table_flags_id(module, index),
    }


def loaded(request):
    answer = request["compiled"]
    maps = {made["fd"]: create(made) for made in answer["tables"]}
    return {
        name: load(name, bytes.fromhex(text), kind_of(name, request["kinds"], request["otherwise"]), answer, maps)
        for name, text in answer["functions"].items()
    }


def create(made):
    words = (made["key"], made["leaf"], made["entries"], made["flags"])
    fd = lib.bcc_create_map(made["type"], made["name"].encode(), *words)
    if fd < 0:
        raise OSError(f"cannot create the table {made['name']}: {os.strerror(ctypes.get_errno())}")
    return fd


def load(name, code, kind, answer, maps):
    log = ctypes.create_string_buffer(LOG_BYTES)
    told = (answer["license"].encode(), answer["version"], 1, log, LOG_BYTES)
    text = linked(code, maps)
    fd = lib.bcc_prog_load(kind, name.encode(), text, len(text), *told)
    error = None
    if fd < 0:
        said = log.value.decode(errors="replace").strip().splitlines()
        error = f"{os.strerror(ctypes.get_errno())}: {' / '.join(said[-3:])}"
    return {"ok": fd >= 0, "insns": len(code) // 8, "error": error}


def linked(code, maps):
    """With the descriptors of this process's maps: the first half of a wide load names a map when its source is 1."""
    linked_code = bytearray(code)
    for at in range(0, len(code), 8):
        opcode, registers, _, value = struct.unpack_from("<BBhi", code, at)
        if opcode == 0x18 and registers >> 4 == 1:
            struct.pack_into("<i", linked_code, at + 4, maps[value])
    return bytes(linked_code)


def in_child(work, request):
    """What the work gives, or the reason that it gives nothing."""
    reader, writer = os.pipe()
    complaints = os.memfd_create("complaints")
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(complaints, 1)
        os.dup2(complaints, 2)
        signal.alarm(LIMIT_SECONDS)
        try:
            answer = work(request)
        except Exception as failure:
            answer = {"error": str(failure)}
        with os.fdopen(writer, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answered:
        line = answered.read()
    _, status = os.waitpid(child, 0)
    answer = json.loads(line) if line else {"error": f"BCC ended with signal {os.WTERMSIG(status)}"}
    os.lseek(complaints, 0, os.SEEK_SET)
    said = os.read(complaints, 1 << 20).decode(errors="replace")
    os.close(complaints)
    errors = [text for text in said.splitlines() if "error:" in text]
    if answer.get("error") is not None and errors:
        answer["error"] = errors[0]
    return answer


WORK = {"compile": compiled, "load": loaded}


def main():
    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    for sizes in (lib.bpf_table_key_size, lib.bpf_table_leaf_size):
        sizes.restype = ctypes.c_size_t
        sizes.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(in_child(WORK[request["do"]], request)), flush=True)


main()
