import type { GpuCounts } from "@rlxjs/runtime";
import { type LoadedAddon, type MappingAddon, NativeAddon } from "@rlxjs/runtime/node";

/** The native addon, as native/metal/addon exports it: the only place where its types are stated. */
export interface MetalAddon extends MappingAddon {
  /**
   * Opens the system's device. `maxMappedBytes`: at most so many bytes of a mapped file lie in one buffer; 0: as many as the device can.
   * `labels`: launches are named by their steps.
   */
  readonly Device: new (
    maxMappedBytes: number,
    labels: boolean,
  ) => NativeDevice;
  /** On Linux only, where there is no Metal. */
  readonly software?: SoftwareMetal;
}

export interface NativeDevice {
  describe(): DeviceDescription;
  /** Zeroed memory of the device. Throws a NativeFailure. */
  allocate(bytes: number): Uint8Array<ArrayBuffer>;
  /** Whether programs can use these bytes where they are, as weights: in memory of the device or in a mapped file, at a multiple of 16. */
  holds(bytes: Uint8Array<ArrayBuffer>): boolean;
  /**
   * Compiles the libraries and functions of a program in threads of its own. Gives how to let go of them; `load` finds them until then.
   * Rejects with a NativeFailure.
   */
  prepare(
    words: Float64Array<ArrayBuffer>,
    functions: readonly string[],
    libraries: readonly { readonly label: string; readonly source: string }[],
  ): Promise<() => void>;
  /** See encode.ts for the words; `labels` are the steps', `bound` has one entry per buffer. Throws a NativeFailure. */
  load(
    name: string,
    words: Float64Array<ArrayBuffer>,
    functions: readonly string[],
    libraries: readonly { readonly label: string; readonly source: string }[],
    labels: readonly string[],
    bound: readonly (Uint8Array<ArrayBuffer> | undefined)[],
  ): NativeExecutable;
  close(): void;
}

export interface DeviceDescription {
  readonly name: string;
  readonly maxBufferBytes: number;
  readonly maxThreadgroupBytes: number;
  readonly workingSetBytes: number;
}

export interface NativeCall {
  readonly extents: Float64Array<ArrayBuffer>;
  readonly inputs: readonly Uint8Array<ArrayBuffer>[];
  readonly outputs: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  readonly states: readonly Uint8Array<ArrayBuffer>[];
  /** Gets the GPU's time for each step in microseconds; the run then takes one command buffer per step. */
  readonly trace: Float64Array<ArrayBuffer> | undefined;
}

export interface NativeExecutable {
  /** Gives the time of the GPU in microseconds, when the outputs are there. Rejects with a NativeFailure. */
  run(call: NativeCall): Promise<number>;
  runSync(call: NativeCall): number;
  /** Sums over the runs so far. */
  counts(): Omit<GpuCounts, "gpuMicros">;
  close(): void;
}

/** What the addon throws when a program cannot be loaded or a run fails; `step` -1: not in a step. */
export interface NativeFailure extends Error {
  readonly kind: "shader" | "invalid" | "refused" | "memory" | "lost" | "fault";
  readonly step: number;
  /** Of `refused`: what the kernel reported. */
  readonly code?: number;
  readonly values?: readonly [bigint, bigint, bigint];
}

export const isNativeFailure = (error: unknown): error is NativeFailure => error instanceof Error && "kind" in error && "step" in error;

/** Software Metal, for tests. */
export interface SoftwareMetal {
  /** Of devices that are opened afterwards. */
  configure(options: SoftwareOptions): void;
  /** The devices that are open now take no more work. */
  loseDevices(): void;
  counters(): SoftwareCounters;
  /** What kernels and the host did wrong since the last call. */
  takeFaults(): SoftwareFault[];
}

export interface SoftwareOptions {
  /** In which order threads start and go on after a barrier; default forward. */
  readonly order?: "forward" | "reverse" | "random";
  /** Of the order `random`. */
  readonly seed?: number;
  /** Threads of the CPU; default 1. */
  readonly workers?: number;
  /** Threads that a threadgroup may have, at most; default 1024. */
  readonly maxThreads?: number;
  /** Kernels are compiled with checks for races, bounds and uninitialised memory. */
  readonly check?: boolean;
  /** Bytes that buffers may take together; 0, the default: no limit. */
  readonly memory?: number;
}

/** Alive: objects, buffers, command buffers and the buffers' bytes; so far: the others. */
export interface SoftwareCounters {
  readonly objects: number;
  readonly buffers: number;
  readonly commandBuffers: number;
  readonly bytes: number;
  readonly committed: number;
  readonly dispatches: number;
  readonly barriers: number;
  readonly libraries: number;
}

export interface SoftwareFault {
  readonly kind: string;
  readonly kernel: string;
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

const native = new NativeAddon<MetalAddon>({ file: "rlxjs_metal.node", from: import.meta.url });

/** Take the addon from another build, such as one with sanitizers. Before anything has opened a device. */
export const useMetalBuild = (directory: string): void => native.useBuild(directory);

/** The addon of this package's build or of the platform's package, or why there is none. Loaded at the first call. */
export const loadMetalAddon = (): LoadedAddon<MetalAddon> => native.load();
