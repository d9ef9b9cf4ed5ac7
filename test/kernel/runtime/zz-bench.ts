import { KernelRuntime } from "../../../framework/kernel/kernel-runtime.ts";
import { map, key } from "./assembly.ts";
const r = new KernelRuntime();
const m = r.createMap(map("hash",{maxEntries:1024}));
const k=key(1), v=new Uint8Array(8), n=new Uint8Array(4);
m.update(k,v,"any"); m.update(key(2),v,"any");
function bench(name:string,f:()=>void){ for(let i=0;i<50000;i++)f(); let best=1e9; for(let q=0;q<7;q++){const t=process.hrtime.bigint(); for(let i=0;i<1e5;i++)f(); best=Math.min(best,Number(process.hrtime.bigint()-t)/1e5);} console.log(name, best.toFixed(0)+" ns"); }
bench("lookup",()=>{m.lookup(k,v)});
bench("update",()=>{m.update(k,v,"any")});
bench("nextKey",()=>{m.nextKey(k,n)});
const miss=key(99); bench("lookup miss",()=>{m.lookup(miss,v)});
m[Symbol.dispose]();
const big = r.createMap(map("hash",{maxEntries:10000})) as any;
for(let i=0;i<10000;i++) big.update(key(i),v,"any");
const ks=new Uint8Array(4*1024), vs=new Uint8Array(8*1024);
{ let best=1e9; for(let q=0;q<20;q++){const t=process.hrtime.bigint(); let c=0; const cur={position:null,done:false}; while(!cur.done) c+=big.lookupBatch(cur,ks,vs,1024); best=Math.min(best,Number(process.hrtime.bigint()-t)/c);} console.log("batch/entry",best.toFixed(1)); }
big[Symbol.dispose]();
