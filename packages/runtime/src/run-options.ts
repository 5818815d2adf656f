import type { Bindings, Tensor, TensorData, TensorType } from "@rlxjs/ir";
import type { GpuHandleFeeds } from "./feeds.ts";
import type { GpuCounts } from "./gpu-counts.ts";
import type { InputValues } from "./inputs.ts";
import type { StateSet } from "./state.ts";

export interface RunOptions<Out extends string = string> {
  /** Not to be changed until the run has ended. An input that is bound to a handle may be left out; given, it goes before the handle. */
  readonly inputs?: InputValues;
  /** States to run on; default: a set of the graph's own. */
  readonly state?: StateSet;
  /** Extents that no input shows, or that must agree with what inputs show. */
  readonly extents?: Bindings;
  /** Outputs to deliver; default: all but those that stay on the device because a handle is fed from them or `keep` names them. */
  readonly read?: readonly Out[];
  /** Outputs that stay on the device until the next run, for `readOutputRow`. */
  readonly keep?: readonly Out[];
  /** Feeds of this run, in place of those that `setGpuHandleFeed` set for the same handles. */
  readonly feeds?: GpuHandleFeeds<Out>;
  /** Memory for outputs: the dtype's typed array with exactly the elements of this run. Not to be transferred before the run has ended. */
  readonly into?: Readonly<Partial<Record<Out, TensorData>>>;
  /** Aborted: the run stops between steps, and fails with the signal's reason. Outputs and states are undefined then, handles as before. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the time of every step of the program, in microseconds. */
  readonly trace?: ((stepMicros: Float64Array) => void) | undefined;
}

export type Outputs<Out extends string = string> = Readonly<Record<Out, Tensor>>;

/** Name and declared types of a graph. */
export interface GraphTypes<Out extends string = string> {
  readonly name: string;
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<Out, TensorType>;
}

/** Bytes that runs and handles moved. */
export interface CopyCounts {
  /** From memory of the device to other memory of the device: rows that feed handles, handles taken from another graph. */
  readonly deviceCopyBytes: number;
  /** Outputs and handles that were delivered as tensors. */
  readonly toHostBytes: number;
  /** Inputs of runs, and tensors that were bound to device handles. */
  readonly toDeviceBytes: number;
}

export interface CompiledStats extends CopyCounts {
  /** How often the program was loaded on the device: 1, and once more for each change of params. */
  readonly compiles: number;
  readonly runs: number;
  /** Calls from JavaScript into native code. */
  readonly nativeCalls: number;
  /** Steps that ran as TypeScript references. */
  readonly hostSteps: number;
  /** Copies of states (KV caches) that runs made. */
  readonly stateCopies: number;
  readonly arenaBytes: number;
  /** Devices with a GPU only. */
  readonly gpu?: GpuCounts;
}
