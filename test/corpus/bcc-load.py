"""Compiles programs with BCC and loads their functions, without attaching any.

Reads lines of JSON {"text", "folder", "cflags", "kinds": {FUNCTION: KIND}, "otherwise": KIND} and answers each with one
line: {"seconds", "error", "functions": {NAME: {"ok", "insns", "error"}}}; "error" is null where all went well.
Each program is compiled in a child, with a time limit.
"""
import json
import os
import signal
import sys
import time

from bcc import BPF
from bcc.libbcc import lib

LIMIT_SECONDS = 600
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


def load(request):
    BPF._trace_autoload = lambda self: None
    os.chdir(request["folder"])
    began = time.perf_counter()
    b = BPF(text=request["text"], cflags=request["cflags"])
    seconds = time.perf_counter() - began
    functions = {}
    for index in range(lib.bpf_num_functions(b.module)):
        name = lib.bpf_function_name(b.module, index)
        error = None
        try:
            b.load_func(name, kind_of(name.decode(), request["kinds"], request["otherwise"]))
        except Exception as failure:
            error = str(failure)
        insns = lib.bpf_function_size(b.module, name) // 8
        functions[name.decode()] = {"ok": error is None, "insns": insns, "error": error}
    return {"seconds": seconds, "error": None, "functions": functions}


def refused(why):
    return {"seconds": None, "error": why, "functions": {}}


def in_child(request):
    reader, writer = os.pipe()
    complaints = os.memfd_create("complaints")
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(complaints, 1)
        os.dup2(complaints, 2)
        signal.alarm(LIMIT_SECONDS)
        try:
            answer = load(request)
        except Exception as failure:
            answer = refused(str(failure))
        with os.fdopen(writer, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answered:
        line = answered.read()
    _, status = os.waitpid(child, 0)
    answer = json.loads(line) if line else refused(f"the compiler ended with signal {os.WTERMSIG(status)}")
    os.lseek(complaints, 0, os.SEEK_SET)
    said = os.read(complaints, 1 << 20).decode(errors="replace")
    os.close(complaints)
    errors = [text for text in said.splitlines() if "error:" in text]
    if answer["error"] is not None and errors:
        answer["error"] = errors[0]
    return answer


def main():
    for line in sys.stdin:
        print(json.dumps(in_child(json.loads(line))), flush=True)


main()
