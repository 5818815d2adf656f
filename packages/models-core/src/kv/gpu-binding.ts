import type { CompiledGraph } from "@rlxjs/runtime";
import { KvStateError } from "./errors.ts";
import { decodeLayout } from "./graph-layout.ts";
import { HandlePlace } from "./handle-place.ts";
import type { HeldGraph, KvPlace } from "./kv-place.ts";
import type { KvCacheState } from "./kv-state.ts";
import { StatePlace } from "./state-place.ts";

/**
 * Device memory for one cache at a time: handles of a graph in concat form, states for graphs in state form. It keeps the graph's bucket
 * compiled as long as the rows are there. Disposing frees both; rows that are not on the host are lost then.
 */
export class GpuKvBinding implements Disposable {
  #place: KvPlace | undefined;

  /** The cache whose rows are here. */
  get kv(): KvCacheState | undefined {
    return this.#live?.kv;
  }
  /** The graph whose runs read them. */
  get compiled(): CompiledGraph | undefined {
    return this.#live?.compiled;
  }
  /** Positions that there is room for. */
  get upper(): number | undefined {
    const compiled = this.compiled;
    return compiled && decodeLayout(compiled).layers[0]?.k.capacity;
  }

  /**
   * Bring the rows of a cache to a graph: from where they are on the device, else from the host. Takes over `held`. Nothing changes
   * when that fails. For the resident forms.
   */
  enter(kv: KvCacheState, held: HeldGraph): KvPlace {
    try {
      this.#refuseLoss(kv);
      const before = kv.onDevice;
      const stays = before?.place.compiled === held.compiled;
      const place = before && stays ? before.place : placeFor(kv, held);
      if (stays) held[Symbol.dispose]();
      try {
        if (before?.length !== kv.pastLen) place.upload();
        else if (stays) place.truncate();
        else place.takeFrom(before.place);
      } catch (error) {
        if (!stays) place[Symbol.dispose]();
        throw error;
      }
      kv.settle(place);
      if (!stays) before?.place[Symbol.dispose]();
      if (this.#live !== place) this.reset();
      this.#place = place;
      return place;
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
  }

  /** Free the device memory. Rows that are not on the host are lost. */
  reset(): void {
    this.#place?.[Symbol.dispose]();
    this.#place = undefined;
  }

  [Symbol.dispose](): void {
    this.reset();
  }

  get #live(): KvPlace | undefined {
    return this.#place?.live ? this.#place : undefined;
  }

  /** Another cache may take this memory only when nothing is lost. */
  #refuseLoss(kv: KvCacheState): void {
    const held = this.kv;
    if (held && held !== kv && held.hostLen < held.pastLen)
      throw new KvStateError("the binding holds rows of another cache that are not on the host: sync that one, or reset the binding");
  }
}

function placeFor(kv: KvCacheState, held: HeldGraph): KvPlace {
  const layout = decodeLayout(held.compiled);
  return layout.form === "concat" ? new HandlePlace(kv, held, layout) : new StatePlace(kv, held, layout);
}

/** Copy a cache's rows from the host to a graph's handles (or states), whatever was there. The graph must outlive the binding's use of it. */
export function installGpuKvHandles(binding: GpuKvBinding, kv: KvCacheState, compiled: CompiledGraph): void {
  syncGpuKvToHost(kv);
  kv.leaveDevice();
  binding.enter(kv, borrowed(compiled));
}

/** Move a cache's rows to the handles (or states) of another graph within the device: a larger bucket, or a graph of another kind. */
export function reinstallGpuKvHandles(binding: GpuKvBinding, kv: KvCacheState, compiled: CompiledGraph): void {
  if (kv.onDevice?.length !== kv.pastLen)
    throw new KvStateError("expected all rows on the device, got some on the host alone: install them");
  binding.enter(kv, borrowed(compiled));
}

/** Copy the rows that are on the device alone to the host. They stay on the device, too. */
export function syncGpuKvToHost(kv: KvCacheState): void {
  const { hostLen, pastLen, onDevice } = kv;
  if (hostLen === pastLen) return;
  if (onDevice?.length !== pastLen)
    throw new KvStateError(`positions ${hostLen} to ${pastLen - 1} were lost with the device memory they were in`);
  const { layersK, layersV } = onDevice.place.download(hostLen);
  kv.fillHost(layersK, layersV);
}

/** A graph that somebody else keeps. */
const borrowed = (compiled: CompiledGraph): HeldGraph => ({ compiled, [Symbol.dispose]: () => undefined });
