export {
  type AnyTable,
  type BuildIdFrame,
  type Change,
  type CounterTable,
  copyOfView,
  type Enumeration,
  type EventStreamOptions,
  EventTable,
  type EventView,
  FilterTable,
  type HasDescriptor,
  type HistogramOptions,
  IndexedTable,
  type IterableStream,
  type IterateOptions,
  iterate,
  KeyedTable,
  type Loss,
  type LossCount,
  type LossReason,
  NestedTable,
  type PerfBufferOptions,
  ProgramTable,
  QueueTable,
  ReferenceTable,
  type StackFrame,
  StackTable,
  type StackValue,
  type StorageOwner,
  StorageTable,
  Table,
  type TableLike,
  type TypeChoice,
  UserRecord,
  UserRingTable,
} from "../maps/index.ts";
export type {
  IteratorDeclaration,
  Layout,
  TableDeclaration,
  VariableDeclaration,
} from "../maps/tables/declaration.ts";
export type { Variable } from "../maps/tables/variable.ts";
export { BPFAttachType } from "./bcc/attach-types.ts";
export { BPF, type BpfFunction, type WaitOptions } from "./bcc/bpf.ts";
export type { BpfOptions } from "./bcc/bpf-options.ts";
export { BPFProgType, DEBUG_PREPROCESSOR, XDPAction, XDPFlags } from "./bcc/constants.ts";
export type {
  ArgumentsEvent,
  EventName,
  EventOf,
  FunctionEvent,
  FunctionInput,
  PacketEvent,
  RecordEvent,
} from "./bcc/fire.ts";
export { BpfIterator } from "./bcc/iterator.ts";
export type { DeviceOptions, TcOptions, XdpOptions } from "./bcc/network-hooks.ts";
export type { GivenMap } from "./bcc/object-maps.ts";
export type { TableTypes } from "./bcc/object-tables.ts";
export { PerfEventSampleFormat, PerfHWConfig, PerfSWConfig, PerfType } from "./bcc/perf-constants.ts";
export {
  type DeclaredOptions,
  type OpenedTable,
  openMap,
  openPinned,
  type PinnedOptions,
} from "./bcc/pinned.ts";
export { aborted, type StopOptions, stopSignal } from "./bcc/stop.ts";
export type { SymbolOptions, UserSymbolOptions } from "./bcc/symbols.ts";
export type { TraceFields, TraceLine } from "./bcc/trace.ts";
export { USDT, type UsdtOptions } from "./bcc/usdt.ts";
export { USDTProbe, USDTProbeArgument, USDTProbeLocation } from "./bcc/usdt-probe.ts";
export type { UserFunction, UserFunctionOptions } from "./bcc/user-functions.ts";
export {
  AttachError,
  BpfError,
  ClosedError,
  CompileError,
  CompilerMissingError,
  type FaultReason,
  LayoutError,
  MachineFault,
  MapError,
  type MapErrorCode,
  ObjectError,
  PermissionError,
  RewriteError,
  type SourceDiagnostic,
  type SourcePosition,
  SyscallError,
  UnsupportedError,
  UsageError,
  VerifierError,
} from "./core/errors.ts";
export type { PerfEventAttr } from "./programs/perf-event-attr.ts";
export type { ArgumentValue, Circumstances, Fields, FieldValue, Task, UserMemory } from "./runtime/events.ts";
export type {
  Command,
  CommandEnd,
  CommandOptions,
  Counters,
  FeatureName,
  Link,
  MapOrigin,
  SocketLink,
  Support,
} from "./runtime/types.ts";
export { type Clock, type MachineSettings, type RuntimeChoice, VirtualClock } from "./runtimes.ts";
export { type ResolvedSymbol, SymbolCache } from "./symbols/process.ts";
