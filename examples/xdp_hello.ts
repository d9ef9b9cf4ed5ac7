// XDP on a device: a line for every packet that arrives, and a global variable of the program read from here.
//
// rxbpf run examples/xdp_hello.ts --device DEVICE [--seconds N]
//
//   packets: 4
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aborted, BPF, stopSignal } from "rxbpf";

const { values } = parseArgs({ options: { device: { type: "string" }, seconds: { type: "string" } } });
if (values.device === undefined) {
  console.error("usage: rxbpf run examples/xdp_hello.ts --device DEVICE [--seconds N]");
  process.exit(2);
}

using b = new BPF({ src_file: fileURLToPath(new URL("xdp_hello.c", import.meta.url)) });
b.attach_xdp(values.device, b.load_func("hello", BPF.XDP));
const signal = stopSignal({ seconds: values.seconds });

const counter = b.variable<number>("counter");
const printing = setInterval(() => console.log(`packets: ${counter.get()}`), 1000);

await aborted(signal);
clearInterval(printing);
console.log(`total: ${counter.get()} packets`);
