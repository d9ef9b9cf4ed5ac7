// Bytes per protocol that leave through a device ("lo" unless another is named), counted by a socket filter in an array
// with one slot per IP protocol. Follows the kernel's samples/bpf/sockex1.
//
// rxbpf run examples/sockex1.ts [--device DEVICE] [--seconds N]
//
//   TCP 0 UDP 0 ICMP 196 bytes
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({
  options: { device: { type: "string", default: "lo" }, seconds: { type: "string" } },
});

using b = new BPF({ src_file: fileURLToPath(new URL("sockex1.c", import.meta.url)) });
b.attach_raw_socket(b.load_func("bpf_prog1", BPF.SOCKET_FILTER), values.device);
const signal = stopSignal({ seconds: values.seconds });

const bytes = b.get_table<number, bigint>("my_map");
const show = () => `TCP ${bytes.get(6)} UDP ${bytes.get(17)} ICMP ${bytes.get(1)} bytes`;
const printing = setInterval(() => console.log(show()), 1000);

await aborted(signal);
clearInterval(printing);
console.log(`total: ${show()}`);
