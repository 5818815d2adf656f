import type { Tensor } from "@rlxjs/ir";
import type { CompiledGraph } from "@rlxjs/runtime";
import { KvStateError } from "./errors.ts";
import { crossKvInputNames } from "./names.ts";

/** Keys and values of an encoder's output, per layer of the decoder: what its inputs `cross_k_0`, `cross_v_0`, ... take. */
export interface CrossAttnKv {
  readonly layersK: readonly Tensor[];
  readonly layersV: readonly Tensor[];
}

/** Which keys and values a graph's handles hold. */
const installed = new WeakMap<CompiledGraph, CrossAttnKv>();

/** Copy cross-attention keys and values to the device, once for all runs of a graph. Installing others replaces them. */
export function installCrossAttnGpuHandles(compiled: CompiledGraph, cross: CrossAttnKv): void {
  if (cross.layersK.length !== cross.layersV.length)
    throw new KvStateError(
      `cross attention: expected as many layers of values as of keys (${cross.layersK.length}), got ${cross.layersV.length}`,
    );
  installed.delete(compiled);
  for (const [i, k] of cross.layersK.entries())
    for (const [j, tensor] of [k, cross.layersV[i] ?? k].entries())
      compiled.bindGpuHandle(crossKvInputNames(i + 1)[2 * i + j] ?? "", tensor);
  installed.set(compiled, cross);
}

/** Whether a graph has the handles of this many layers. */
export const crossAttnGpuHandlesReady = (compiled: CompiledGraph, layers: number): boolean =>
  crossKvInputNames(layers).every((name) => compiled.hasGpuHandle(name));

/** Have these keys and values on the device for a graph: copied from the graph before where that has them, else from the host. */
export function ensureCrossAttn(compiled: CompiledGraph, cross: CrossAttnKv, before?: CompiledGraph): void {
  const layers = cross.layersK.length;
  if (installed.get(compiled) === cross && crossAttnGpuHandlesReady(compiled, layers)) return;
  const there = before && installed.get(before) === cross && crossAttnGpuHandlesReady(before, layers);
  if (!there) installCrossAttnGpuHandles(compiled, cross);
  else {
    installed.delete(compiled);
    for (const name of crossKvInputNames(layers)) compiled.copyGpuHandleFrom(before, name);
    installed.set(compiled, cross);
  }
}
