// Counts execve by user in a hash table that the script reads every two seconds. Follows the second program of
// BCC's tutorial lessons on maps.
//
// rxbpf run examples/hello_map.ts [--seconds N]
//
//   ID 0: 3
//   ID 0: 7   ID 1000: 2
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const program = `
BPF_HASH(counter_table);

int hello(void *ctx) {
    u64 uid;
    u64 counter = 0;
    u64 *p;

    uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    p = counter_table.lookup(&uid);
    if (p != 0) {
        counter = *p;
    }
    counter++;
    counter_table.update(&uid, &counter);
    return 0;
}
`;

const { values } = parseArgs({ options: { seconds: { type: "string" } } });

using b = new BPF({ text: program });
b.attach_kprobe({ event: b.get_syscall_fnname("execve"), fn_name: "hello" });
const signal = stopSignal({ seconds: values.seconds });

const counters = b.get_table<bigint, bigint>("counter_table");
const show = (counts: Iterable<[bigint, bigint]>) =>
  [...counts].map(([uid, n]) => `ID ${uid}: ${n}`).join("   ");
const printing = counters.snapshots(2000).subscribe((counts) => {
  if (counts.size > 0) console.log(show(counts));
});

await aborted(signal);
printing.unsubscribe();
console.log(`total: ${show(counters) || "nothing was started"}`);
