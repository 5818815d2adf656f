import type { AnyOpDef, AttrRecord, Dim, Tensor, TensorType } from "@rlxjs/ir";
import type { GpuCounts } from "./gpu-counts.ts";
import type { Program } from "./program.ts";

/** Names of the reference system's devices; a backend registers under one of them. */
export const devices = ["cpu", "metal", "webgpu", "cuda", "mlx", "ane", "rocm", "tpu", "gpu", "vulkan", "opengl", "directx"] as const;
export type Device = (typeof devices)[number];

const residentKv: ReadonlySet<Device> = new Set<Device>(["cpu", "mlx", "metal", "cuda", "rocm", "gpu", "vulkan"]);

/**
 * Whether KV caches may stay in memory of the device between runs, as handles. The reference system says so of its GPUs; here also of the
 * CPU, where such memory is native and never a JavaScript array.
 */
export const deviceSupportsGpuKv = (device: Device): boolean => residentKv.has(device);

/** A node as a backend sees it: types, attributes, and which operands are weights. */
export interface NodeView {
  readonly def: AnyOpDef;
  readonly attrs: AttrRecord;
  readonly inputs: readonly (OperandView | undefined)[];
  readonly outputs: readonly TensorType[];
}
export interface OperandView extends TensorType {
  /** Constant over all runs (a param, a constant, or an expression of them): it may be packed into another layout. */
  readonly weight: boolean;
  /** The value, when it is a constant of the graph. */
  readonly value?: Tensor;
}

/** What a kernel asks for when it takes a node. */
export interface Emitted {
  readonly kernel: string;
  readonly params?: readonly Dim[];
  readonly blob?: Uint8Array<ArrayBuffer>;
  /** Packed layout per input slot; only for operands that are weights. */
  readonly layouts?: Readonly<Record<number, string>>;
  readonly scratchBytes?: number;
}

/** One kernel of a backend for one op of the table. */
export interface Kernel {
  /** Key by the op's name in graphs, such as `rms_norm`. */
  readonly op: string;
  /** Looks at the whole node: `true`, or the reason why not. */
  accepts(node: NodeView): true | string;
  emit(node: NodeView): Emitted;
}

export interface DeviceInfo {
  readonly device: Device;
  /** For people: `native AVX-512 (VNNI, BF16), 1 thread`. */
  readonly description: string;
  readonly threads: number;
  /** Part of every cache key: another one when kernels take other nodes, or pack or compute them in another way. */
  readonly kernelLibrary: string;
}

/** Memory of a device that the host can see as bytes. */
export interface DeviceBuffer extends Disposable {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One run of an executable; lists follow the program's buffers of that kind, in order. */
export interface RunCall {
  /** Value of every symbol, in the order of `program.symbols`. */
  readonly extents: readonly number[];
  /** At their actual extents, at any alignment. Not changed by the caller before the run has ended; memory of `allocate` is read in place. */
  readonly inputs: readonly Uint8Array<ArrayBuffer>[];
  /** Where outputs go, at their actual extents, also memory of `allocate`; undefined: computed into the backend's own memory. */
  readonly outputs: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  readonly states: readonly DeviceBuffer[];
  /** Aborted: the run stops between steps and fails with `signal.reason`. A failing kernel is a KernelError. */
  readonly signal?: AbortSignal | undefined;
  /** Called with per-step times in microseconds when the run is traced. */
  readonly trace?: ((stepMicros: Float64Array) => void) | undefined;
}

export interface ExecutableStats {
  readonly runs: number;
  /** Calls from JavaScript into native code. */
  readonly nativeCalls: number;
  /** Steps that ran as TypeScript references. */
  readonly hostSteps: number;
  readonly arenaBytes: number;
  /** Devices with a GPU only. */
  readonly gpu?: GpuCounts;
}

/** A program that is loaded on a device with its weights bound. One run at a time. */
export interface Executable extends Disposable {
  run(call: RunCall): Promise<void>;
  runSync(call: RunCall): void;
  stats(): ExecutableStats;
}

/** A program that a device has made ready to be loaded. Disposing it leaves what it has loaded as it is. */
export interface PreparedProgram extends Disposable {
  /** See `Backend.load`. */
  load(bound: readonly (Uint8Array<ArrayBuffer> | undefined)[]): Executable;
}

/** A file whose bytes are mapped, not read. */
export interface MappedFile extends Disposable {
  readonly size: number;
  /** A view of the mapping; valid until the file is disposed. */
  view(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

export interface BackendOptions {
  /** Compute threads; default: cores - 1, at least 1. */
  readonly threads?: number;
  /** `reference`: the TypeScript references only. Default: `native` where available. */
  readonly kernels?: "native" | "reference";
}

/** An opened device. */
export interface Backend extends Disposable {
  readonly info: DeviceInfo;
  readonly kernels: readonly Kernel[];
  /** False: no step may run as a TypeScript reference on the host; a graph that needs one is refused when it is compiled. Default true. */
  readonly hostSteps?: boolean;
  /** Zeroed memory, aligned for the device. */
  allocate(bytes: number): DeviceBuffer;
  /** Weight bytes in a kernel's packed layout; made without holding the event loop, where the device can. */
  pack(weight: Tensor, layout: string): Promise<Uint8Array<ArrayBuffer>>;
  packSync(weight: Tensor, layout: string): Uint8Array<ArrayBuffer>;
  /** `bound` has one entry per buffer of the program: weights and constants in their layouts, undefined for the other kinds. */
  load(program: Program, bound: readonly (Uint8Array<ArrayBuffer> | undefined)[]): Executable;
  /** The part of `load` that takes long and needs no weights, such as compiling shaders, without holding the event loop. */
  prepare?(program: Program): Promise<PreparedProgram>;
  mapFile?(path: string): MappedFile;
}

export type BackendFactory = (options: BackendOptions) => Promise<Backend>;
