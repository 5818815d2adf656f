import { type LoadedAddon, type MappingAddon, NativeAddon } from "@rlxjs/runtime/node";

/** The native addon, as native/addon exports it: the only place where its types are stated. */
export interface Addon extends MappingAddon {
  /** Instruction sets that this machine has, best first, and the kernels of the best one. */
  cpuInfo(): { readonly isas: readonly string[]; readonly kernels: readonly string[] };
  /** Zeroed, page-aligned memory; pages that are never touched cost nothing. */
  allocate(bytes: number): Uint8Array<ArrayBuffer>;
  /** `threads` includes the one that drives the run; `isa` "" is the best one. */
  readonly Engine: new (
    threads: number,
    isa: string,
  ) => NativeEngine;
}

export interface NativeEngine {
  readonly isa: string;
  /** See encode.ts for the word stream; `bound` has one entry per buffer. */
  load(
    words: Float64Array<ArrayBuffer>,
    kernels: readonly string[],
    blobs: readonly Uint8Array<ArrayBuffer>[],
    bound: readonly (Uint8Array<ArrayBuffer> | undefined)[],
  ): NativeExecutable;
  /** The packed bytes of a row-major weight [n, k], made after the runs that were asked for before. */
  pack(layout: string, dtype: number, n: number, k: number, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  packSync(layout: string, dtype: number, n: number, k: number, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** Bytes per second that the engine's threads read. */
  measureBandwidth(bytes: number): number;
  close(): void;
}

export interface NativeCall {
  readonly extents: Float64Array<ArrayBuffer>;
  readonly inputs: readonly Uint8Array<ArrayBuffer>[];
  readonly outputs: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  readonly states: readonly Uint8Array<ArrayBuffer>[];
  /** Inputs and outputs go through memory that `memory` shows, so that host steps can work on it. */
  readonly stage: boolean;
}
/** `step` -1: not in a step. An empty text: the run was cancelled. */
export interface NativeFailure {
  readonly step: number;
  readonly text: string;
}

export interface NativeExecutable {
  /** Steps [from, to) with the memory of `call` (undefined: that of the call before). Resolves to undefined when they are done. */
  run(call: NativeCall | undefined, from: number, to: number, trace?: Float64Array<ArrayBuffer>): Promise<NativeFailure | undefined>;
  runSync(call: NativeCall | undefined, from: number, to: number, trace?: Float64Array<ArrayBuffer>): NativeFailure | undefined;
  /** Stop the run under way, between steps or between the tasks of a step. */
  cancel(): void;
  /** The bytes of an arena buffer, or of a staged input or output, at the extents of the last call. */
  memory(buffer: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

const native = new NativeAddon<Addon>({ file: "rlxjs_cpu.node", from: import.meta.url });

/** Take the addon from another build, such as one with sanitizers. Before anything has opened a device. */
export const useNativeBuild = (directory: string): void => native.useBuild(directory);

/** The addon of this package's build or of the platform's package, or why there is none. Loaded at the first call. */
export const loadAddon = (): LoadedAddon<Addon> => native.load();
