import { type Graph, hashGraph, hashGraphWork } from "@rlxjs/ir";
import type { Device, DeviceInfo } from "../backend.ts";
import { defaultPassOptions, type PassOptions } from "../passes/options.ts";
import type { Work } from "../task.ts";
import type { WeightStore } from "../weights.ts";

/** What a compiled graph depends on. */
export interface CompileKey {
  /** `sha256:` and the canonical hash of the graph, or `recipe:` and the caller's words for what builds it. */
  readonly graph: `sha256:${string}` | `recipe:${string}`;
  readonly device: Device;
  readonly kernelLibrary: string;
  /** All of them: defaults are filled in. */
  readonly passes: PassOptions;
  /** Which WeightStore, by a number that is unique in this process; 0: none. */
  readonly weights: number;
}

export interface KeyOptions {
  readonly weights?: WeightStore | undefined;
  readonly passes?: Partial<PassOptions> | undefined;
}

const stores = new WeakMap<WeightStore, number>();
let lastStore = 0;

function storeNumber(store: WeightStore): number {
  const number = stores.get(store) ?? ++lastStore;
  stores.set(store, number);
  return number;
}

/** The key of a graph, or of what a recipe (a text that stands for the graph) builds. */
export const compileKey = (graph: Graph | string, info: DeviceInfo, options: KeyOptions = {}): CompileKey =>
  keyOf(typeof graph === "string" ? `recipe:${graph}` : `sha256:${hashGraph(graph)}`, info, options);

/** The key of a graph as work that may be interrupted: hashing takes its time, where constants are large. */
export function* compileKeyWork(graph: Graph, info: DeviceInfo, options: KeyOptions): Work<CompileKey> {
  return keyOf(`sha256:${yield* hashGraphWork(graph)}`, info, options);
}

function keyOf(graph: CompileKey["graph"], { device, kernelLibrary }: DeviceInfo, { weights, passes }: KeyOptions): CompileKey {
  return {
    graph,
    device,
    kernelLibrary,
    passes: { ...defaultPassOptions, ...passes },
    weights: weights ? storeNumber(weights) : 0,
  };
}

/** Equal texts mean equal keys. */
export function keyText({ graph, device, kernelLibrary, passes, weights }: CompileKey): string {
  const options = Object.entries(passes).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([graph, device, kernelLibrary, options, weights]);
}
