import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { needsKernel } from "../../support/skip.ts";
import { open } from "../bcc/open.ts";

/*
 * Known memory of the kernel: the name of this process's own thread, fifteen bytes and a zero; its and its parent's
 * numbers. Known memory of the process: the path it gives to rmdir().
 */
const COMM = "abcdefghijklmno";
const PATH = "/0123456789abcdefghijklmnopqrst";
const own = process.pid;
const parent = process.ppid;
const byte = (text: string, index: number): number => text.charCodeAt(index);
const word = (text: string, at: number): number => Buffer.from(text).readUInt32LE(at);
const half = (text: string, at: number): number => Buffer.from(text).readUInt16LE(at);

const name = readFileSync("/proc/self/comm", "utf8");
beforeAll(() => writeFileSync("/proc/self/comm", COMM));
afterAll(() => writeFileSync("/proc/self/comm", name));
beforeEach((context) => needsKernel(context));

interface Case {
  /** Stands before the program. */
  readonly before?: string;
  /** Fills `a` and `b`; `task` is the own task. */
  readonly body: string;
  readonly a: number;
  readonly b?: number;
}

/** Structures laid over the name: "abcd", 'e', "fghi" after a gap of three, and so on. */
const OVERLAY = `
  struct in { u16 w[2]; u8 m[2][2]; };
  struct s { u32 first; struct in in; u8 last[4]; };
  struct node { u32 value; struct node *next; };
  struct flags { u32 low : 5, mid : 11; int high : 16; u8 tail : 3; u8 : 2; u8 end : 3; };
  struct mixed { struct { u8 x, y; }; union { u16 pair; u8 bytes[2]; }; struct { u8 p; u8 q; } inner; };
`;

function run(cases: Readonly<Record<string, Case>>): void {
  test.each(Object.entries(cases))("%s", (_, { before = "", body, a, b = 0 }) => {
    using bpf = open(`
      #include <linux/sched.h>
      #include <linux/fs.h>
      ${OVERLAY}
      struct out { u64 a; u64 b; };
      BPF_HASH(outs, u32, struct out);
      ${before}
      TRACEPOINT_PROBE(syscalls, sys_enter_rmdir) {
        if ((bpf_get_current_pid_tgid() >> 32) != ${process.pid}) return 0;
        struct task_struct *task = (struct task_struct *)bpf_get_current_task();
        u64 a = 0, b = 0;
        u32 key = 0;
        ${body}
        struct out out = { a, b };
        outs.update(&key, &out);
        return 0;
      }`);
    expect(() => rmdirSync(PATH)).toThrow("ENOENT");
    expect(bpf.get_table<number, { a: bigint; b: bigint }>("outs").get(0)).toEqual({
      a: BigInt(a),
      b: BigInt(b),
    });
  });
}

describe("pointers that BCC loses", () => {
  run({
    "a cast of a context's member, without a variable": {
      body: "a = ((u8 *)args->pathname)[3]; b = ((struct s *)args->pathname)->first;",
      a: byte(PATH, 3),
      b: word(PATH, 0),
    },
    "numbers that become pointers, also as parameters": {
      before: "static u32 id(unsigned long t) { return ((struct task_struct *)t)->tgid; }",
      body: "u64 t = bpf_get_current_task(); t += 8; t -= 8; a = id(t); b = ((struct task_struct *)t)->real_parent->tgid;",
      a: own,
      b: parent,
    },
    "what a read helper filled in, of own structures": {
      body: "struct node n = {}; struct s *p; u64 at = (u64)task->comm; bpf_probe_read_kernel(&p, sizeof(p), &at); bpf_probe_read(&n.next, sizeof(n.next), &at); a = p->first; b = n.next->value;",
      a: word(COMM, 0),
      b: word(COMM, 0),
    },
    "initialisers by name, by place, and in arrays": {
      before: "struct holder { u64 ts; struct s *p; struct task_struct *t; };",
      body: "struct s *s = (struct s *)task->comm; struct holder w = { .p = s, .t = task }, v = { 1, s, task }; struct s *list[2] = { s, s }; a = 0ULL + w.p->first + v.p->first + list[1]->first; b = w.t->tgid + v.t->tgid;",
      a: 3 * word(COMM, 0),
      b: 2 * own,
    },
    "members of a structure that was copied out of the kernel": {
      before: "struct head { struct head *next, *prev; };",
      body: "struct head l = *(struct head *)&task->tasks; a = l.next->prev == (struct head *)&task->tasks; struct task_struct *leader = task->group_leader; struct list_head k = leader->tasks; b = k.next->prev == &leader->tasks;",
      a: 1,
      b: 1,
    },
    "what a function writes through a parameter": {
      before:
        "static void set(struct s **out, void *p) { *out = p; } static void both(struct s **x, struct s *p) { struct s **y = x; *y = p; }",
      body: "struct s local = { .first = 7 }, *q = &local, *r = &local; set(&q, task->comm); both(&r, (struct s *)task->comm); a = q->first; b = r->in.w[1];",
      a: word(COMM, 0),
      b: half(COMM, 6),
    },
    "a helper that is called through an earlier prototype": {
      before:
        "static u32 first(struct s *p); static u32 outer(struct s *p) { return first(p); } static u32 first(struct s *p) { return p->first; }",
      body: "a = outer((struct s *)task->comm);",
      a: word(COMM, 0),
    },
    "a helper that is called with a local pointer first and with the kernel's later": {
      before: "static u32 first(struct s *p) { return p->first; }",
      body: "struct s local = { .first = 7 }; a = first(&local); b = first((struct s *)task->comm);",
      a: 7,
      b: word(COMM, 0),
    },
    "a helper on its own result, and one that gives its argument back": {
      before:
        "static struct task_struct *up(struct task_struct *t) { return t->real_parent; } static struct task_struct **same(struct task_struct **t) { return t; }",
      body: "a = up(up(task)->group_leader)->tgid > 0; b = (*same(&task))->tgid;",
      a: 1,
      b: own,
    },
    "an assignment that comes later in a loop than the use": {
      body: "struct s local = { .first = 7 }, *p = &local; for (int i = 0; i < 3; i++) { a += p->first; p = (struct s *)task->comm; }",
      a: 7 + 2 * word(COMM, 0),
    },
    "pointers kept by lookup_or_try_init, in numbers, and in queues": {
      before: "BPF_HASH(kept, u32, struct s *); BPF_HASH(numbers, u32, u64); BPF_QUEUE(queue, u64, 4);",
      body: `struct s *s = (struct s *)task->comm; u64 n = (u64)s, m = 0;
        struct s **found = kept.lookup_or_try_init(&key, &s); if (!found) return 0; a = (*found)->first;
        numbers.update(&key, &n); u64 *number = numbers.lookup(&key); if (!number) return 0; b = ((struct s *)*number)->last[1];
        queue.push(&n, 0); queue.pop(&m); a += ((struct s *)m)->first;`,
      a: 2 * word(COMM, 0),
      b: byte(COMM, 13),
    },
    "members of a table's value, read in a function above the one that writes them": {
      before:
        "struct held { u64 n; struct { struct s *s; } deep; }; BPF_HASH(held, u32, struct held); static u64 get(u32 key) { struct held *h = held.lookup(&key); return h ? h->deep.s->first : 0; } static void put(u32 key, void *p) { struct held h = { .n = 1 }; h.deep.s = p; held.update(&key, &h); }",
      body: "put(key, task->comm); a = get(key);",
      a: word(COMM, 0),
    },
    "the context handed to a function": {
      before:
        "static u8 third(struct tracepoint__syscalls__sys_enter_rmdir *c) { const char *p = c->pathname; return p[3]; }",
      body: "a = third(args);",
      a: byte(PATH, 3),
    },
    "memcpy, and an array of pointers filled element by element": {
      before: "struct holder { u64 ts; struct s *p; };",
      body: "struct holder w = { .p = (struct s *)task->comm }, v = {}; memcpy(&v, &w, sizeof(v)); struct s *list[2]; list[0] = w.p; list[1] = v.p; a = v.p->first; b = list[1]->in.w[0];",
      a: word(COMM, 0),
      b: half(COMM, 4),
    },
  });
});

describe("pointers that BCC takes for more than they are", () => {
  run({
    "a condition does not make its branches the kernel's": {
      body: "struct s local = {}, *q = task ? &local : 0; q->first = 5; q->first++; a = local.first;",
      a: 6,
    },
    "a member that holds the kernel's pointer in one object and a local one in another": {
      body: "struct node n = { .value = 1 }, x = { .next = &n }, y = { .next = (struct node *)task->comm }; x.next->value = 9; a = n.value; b = y.next->value;",
      a: 9,
      b: word(COMM, 0),
    },
    "a variable that points to the kernel and then to a local": {
      body: "struct s local = {}, *p = (struct s *)task->comm; a = p->first; p = &local; p->first = 3; p->last[1] += 2; b = local.first + local.last[1];",
      a: word(COMM, 0),
      b: 5,
    },
    "stores whose index or value is a read": {
      before: "struct hist { u32 slots[256]; }; BPF_ARRAY(hists, struct hist, 1);",
      body: `u32 local[64] = {}; struct s *s = (struct s *)task->comm; struct task_struct *t[2]; t[0] = task;
        local[s->last[0] & 63] = s->first; a = local[${byte(COMM, 12) & 63}];
        u32 zero = 0; struct hist *h = hists.lookup(&zero); if (!h) return 0;
        h->slots[s->last[1]]++; h->slots[s->last[1]] += 4; b = h->slots[${byte(COMM, 13)}] + (t[0] == task);`,
      a: word(COMM, 0),
      b: 6,
    },
    "addresses: of members, of members behind a read, of elements with a read index": {
      body: `u8 local[128] = { [${byte(COMM, 12)}] = 4 }; struct s *s = (struct s *)task->comm; u32 v = 0; u8 *at = &local[s->last[0] & 127];
        bpf_probe_read_kernel(&v, sizeof(v), &task->real_parent->tgid); a = v; b = *at + (&s->in.w[1] == (u16 *)(task->comm + 6));`,
      a: parent,
      b: 5,
    },
  });
});

describe("shapes of reads", () => {
  run({
    "elements of array members, by constant, variable and macro": {
      before: "#define TWO 2",
      body: "struct s *s = (struct s *)task->comm; u32 i = key + 1; a = s->last[TWO] * 256 + s->last[i]; b = s->in.w[i] * 65536 + s->in.w[0];",
      a: byte(COMM, 14) * 256 + byte(COMM, 13),
      b: half(COMM, 6) * 65536 + half(COMM, 4),
    },
    "pointer members with an index, and elements of elements": {
      body: "struct s *s = (struct s *)task->comm; struct { u64 pad; u8 *bytes; struct s **list; } h = { 0, (u8 *)s, &s }; a = h.bytes[5]; b = s->in.m[1][0] * 256 + s->in.m[key][1];",
      a: byte(COMM, 5),
      b: byte(COMM, 10) * 256 + byte(COMM, 9),
    },
    "bit fields of the kernel's structures and of own ones": {
      body: "struct flags *f = (struct flags *)task->comm; a = f->low | f->mid << 5 | (u64)f->tail << 32 | (u64)f->end << 35 | (u64)task->sched_reset_on_fork << 40; b = f->high + (task->mm->def_flags & 0);",
      a: half(COMM, 0) + 2 ** 32 * (byte(COMM, 4) & 7) + 2 ** 35 * (byte(COMM, 4) >> 5),
      b: half(COMM, 2),
    },
    "members of anonymous structures and unions, copies of unnamed ones": {
      body: "struct mixed *m = (struct mixed *)task->comm; __auto_type inner = m->inner; a = m->y * 65536 + m->pair; b = m->bytes[1] * 256 + inner.q;",
      a: byte(COMM, 1) * 65536 + half(COMM, 2),
      b: byte(COMM, 3) * 256 + byte(COMM, 5),
    },
    "volatile and const members, and pointers to functions": {
      before: "struct v { const u32 c; volatile u16 v; };",
      body: "struct v *v = (struct v *)task->comm; a = v->c; b = v->v + (task->signal->nr_threads == 0) + (task->files->fdt->fd == 0);",
      a: word(COMM, 0),
      b: half(COMM, 4),
    },
    "stars, brackets and steps": {
      body: "struct s *p = (struct s *)task->comm, **pp = &p; u8 *c = (u8 *)p; a = 0ULL + (*p).first + p[0].first + (p - 1 + 1)->first + (**pp).first + (*pp)->first + (*pp)[0].first; b = *c++; b = b * 256 + *c++; b = b * 256 + *(c + 1); b = b * 256 + 1[c];",
      a: 6 * word(COMM, 0),
      b: ((byte(COMM, 0) * 256 + byte(COMM, 1)) * 256 + byte(COMM, 3)) * 256 + byte(COMM, 3),
    },
    "copies of structures, whole and as arguments": {
      before: "static u32 sum(struct in in) { return in.w[0] + in.w[1]; }",
      body: "struct s copy = *(struct s *)task->comm; struct in in = ((struct s *)task->comm)->in; a = copy.first + copy.last[0]; b = in.w[1] + sum(((struct s *)task->comm)->in);",
      a: word(COMM, 0) + byte(COMM, 12),
      b: 2 * half(COMM, 6) + half(COMM, 4),
    },
    "operands of sizeof, typeof and alignof": {
      body: "struct s *p = (struct s *)task->comm; typeof(p->in) in = p->in; __typeof__(*p) all = *p; typeof(task->real_parent) up = task->real_parent; a = sizeof(p->in) + sizeof(task->real_parent->comm) + sizeof p->last + _Alignof(struct s); b = in.w[0] + all.first + (up->tgid == task->real_parent->tgid);",
      a: 8 + 16 + 4 + 4,
      b: half(COMM, 4) + word(COMM, 0) + 1,
    },
    "in macros: as argument, in the body, as the base, as the member, as the index": {
      before:
        "#define FIRST(p) ((p)->first)\n#define BASE task\n#define MEMBER tgid\n#define _(P) ({ typeof(P) val; __builtin_memset(&val, 0, sizeof(val)); bpf_probe_read(&val, sizeof(val), &P); val; })",
      body: "struct s *s = (struct s *)task->comm; a = FIRST(s) + bpf_ntohs(s->in.w[0]) + min(s->last[0], s->last[1]); b = BASE->MEMBER + _(task->real_parent)->MEMBER + _(task->real_parent)->comm[15] + container_of(&task->tgid, struct task_struct, tgid)->tgid;",
      a: word(COMM, 0) + byte(COMM, 4) * 256 + byte(COMM, 5) + byte(COMM, 12),
      b: 2 * own + parent,
    },
    "ternaries, commas, assignments in conditions and in chains": {
      body: "struct task_struct *t, *u; if ((t = task->real_parent) && t->tgid) a = t->tgid; u = t = task; b = (key ? t : u)->tgid + (key, t->tgid) + (t ?: u)->tgid + (task->tgid ? task->real_parent->tgid : 0);",
      a: parent,
      b: 3 * own + parent,
    },
    "names of this library's own kind of variables, texts and comments": {
      body: 'struct s *_val = (struct s *)task->comm; u32 leaf = _val->first, _key = _val->first; char text[] = "task->tgid"; /* task->pid */ a = leaf + _key; b = text[4];',
      a: 2 * word(COMM, 0),
      b: 45,
    },
    "types by their own names in casts": {
      before: "typedef struct s *sp; typedef unsigned char t; typedef u32 id_type;",
      body: "sp p = (sp)(task->comm); a = 0ULL + ((sp)task->comm)->first + ((sp)(p))->first + (id_type)(p->first); t *c = (t *)p; b = (t)*c + (t)(c[1]) + (t)-1 + (id_type)*(u16 *)c;",
      a: 3 * word(COMM, 0),
      b: byte(COMM, 0) + byte(COMM, 1) + 255 + half(COMM, 0),
    },
    "structures that a macro's argument names, and typedefs without a tag": {
      before: "typedef struct { u16 x; u16 y; } pair_t; BPF_HASH(pairs, u32, pair_t *);",
      body: "pair_t *p = (pair_t *)task->comm; pairs.update(&key, &p); pair_t **q = pairs.lookup(&key); if (!q) return 0; a = (*q)->y; b = p->x + q[0]->x;",
      a: half(COMM, 2),
      b: 2 * half(COMM, 0),
    },
  });
});

describe("user memory", () => {
  run({
    "of a system call's parameter, by every shape": {
      body: "const char *p = args->pathname; struct s *s = (struct s *)p; a = p[1] + *p + *(p + 2) + s->last[0]; b = s->in.m[1][1] * 256 + ((struct flags *)p)->low;",
      a: byte(PATH, 1) + byte(PATH, 0) + byte(PATH, 2) + byte(PATH, 12),
      b: byte(PATH, 11) * 256 + (byte(PATH, 0) & 31),
    },
    "marked __user, as a parameter and as a member": {
      before:
        "struct io { u64 n; char __user *base; }; static u8 at(const char __user *p, u32 i) { return p[i]; }",
      body: "struct io io = { .base = (char *)args->pathname }; a = at(args->pathname, 4); b = io.base[2];",
      a: byte(PATH, 4),
      b: byte(PATH, 2),
    },
    "whose address the kernel keeps": {
      body: "a = *(u8 *)task->mm->arg_start; struct task_struct *t = task; b = ((u8 *)t->mm->arg_start)[1];",
      a: byte(readFileSync("/proc/self/cmdline", "utf8"), 0),
      b: byte(readFileSync("/proc/self/cmdline", "utf8"), 1),
    },
    "or the kernel's, through one pointer": {
      before: "static u32 first(struct s *p) { return p->first; }",
      body: "struct s *p = (struct s *)args->pathname; a = p->first; p = (struct s *)task->comm; b = p->first + first((struct s *)args->pathname) + first(p);",
      a: word(PATH, 0),
      b: 2 * word(COMM, 0) + word(PATH, 0),
    },
    "kept in a table": {
      before: "BPF_HASH(paths, u32, const char *);",
      body: "const char *p = args->pathname; paths.update(&key, &p); const char **q = paths.lookup(&key); if (!q) return 0; a = (*q)[3]; b = **q;",
      a: byte(PATH, 3),
      b: byte(PATH, 0),
    },
  });
});
