import type { CompiledGraph, GpuHandleFeeds, RunOptions } from "@rlxjs/runtime";
import type { CheckedCall } from "./decode-call.ts";
import { DecodeGraphError, KvStateError } from "./errors.ts";
import type { ConcatLayout } from "./graph-layout.ts";
import type { HeldGraph, HostLayers, KvPlace } from "./kv-place.ts";
import type { KvCacheState } from "./kv-state.ts";
import { copyRows, type KvRows } from "./row-buffer.ts";
import { rowsOfTensor, tensorOfRows } from "./row-io.ts";

/** Whose rows a graph's handles hold. */
const owners = new WeakMap<CompiledGraph, HandlePlace>();

/** The caches of a graph in concat form: its inputs `past_k_0`... bound to device memory, which new rows are fed to. */
export class HandlePlace implements KvPlace {
  readonly kv: KvCacheState;
  readonly compiled: CompiledGraph;
  readonly #held: HeldGraph;
  readonly #layout: ConcatLayout;
  #live = true;
  /** Positions from here on are zeros in padded handles. */
  #end = 0;

  /** KvStateError when the handles hold rows of another cache that are nowhere else. */
  constructor(kv: KvCacheState, held: HeldGraph, layout: ConcatLayout) {
    this.kv = kv;
    this.compiled = held.compiled;
    this.#held = held;
    this.#layout = layout;
    const owner = owners.get(this.compiled);
    if (owner?.live) {
      if (owner.kv.hostLen < owner.kv.pastLen)
        throw new KvStateError(
          `graph "${this.compiled.name}": its handles hold rows of another cache that are not on the host: sync or reset that one first`,
        );
      owner[Symbol.dispose]();
    }
    owners.set(this.compiled, this);
  }

  get live(): boolean {
    return this.#live;
  }

  upload(): void {
    const { kv } = this;
    const { layersK, layersV } = kv.padLayersToUpper(this.#layout.layers.map(({ k }, i) => (k.padded ? k.capacity : kv.rowsOf(i))));
    const bind = (slot: ConcatLayout["layers"][number]["k"], data: KvRows | undefined): void => {
      if (data) this.compiled.bindGpuHandle(slot.name, tensorOfRows(slot, kv.batch, data));
    };
    for (const [i, { k, v }] of this.#layout.layers.entries()) {
      bind(k, layersK[i]);
      bind(v, layersV[i]);
    }
    this.#end = kv.pastLen;
  }

  takeFrom(place: KvPlace): void {
    if (!(place instanceof HandlePlace))
      throw new DecodeGraphError(
        this.compiled.name,
        `expected a graph in state form, as "${place.compiled.name}" before, got one in concat form`,
      );
    for (const [i, { k, v }] of this.#layout.layers.entries())
      for (const { name } of [k, v]) this.compiled.copyGpuHandleFrom(place.compiled, name, { rows: this.kv.rowsOf(i), axis: 1 });
    this.#end = this.kv.pastLen;
  }

  truncate(): void {
    // Behind the rows there may be others: a mask hides numbers, but a bias does not hide NaN.
    const dirty = this.#end > this.kv.pastLen;
    this.#end = this.kv.pastLen;
    for (const [i, { k, v }] of this.#layout.layers.entries())
      if (dirty || !k.padded) for (const { name } of [k, v]) this.compiled.truncateGpuHandle(name, { rows: this.kv.rowsOf(i), axis: 1 });
  }

  runOptions({ spans, newRows }: CheckedCall): Pick<RunOptions, "feeds"> {
    const feeds: Record<string, GpuHandleFeeds[string]> = {};
    for (const [i, { k, v }] of this.#layout.layers.entries()) {
      const { past = 0, newAt = 0 } = spans[i] ?? {};
      for (const { name, output } of [k, v]) feeds[name] = { output, srcRow: newAt, dstRow: past, rows: newRows, axis: 1 };
    }
    this.#end = Math.max(this.#end, this.kv.pastLen + newRows);
    return { feeds };
  }

  download(from: number): HostLayers {
    const read = (i: number, slot: ConcatLayout["layers"][number]["k"]): KvRows => {
      const { kv } = this;
      const width = kv.kvDims[i] ?? 0;
      const base = kv.layersKvBase[i] ?? 0;
      const first = Math.max(0, from - base);
      const count = kv.rowsOf(i) - first;
      const out = new Float32Array(kv.batch * count * width);
      copyRows(out, rowsOfTensor(slot, this.compiled.readGpuHandle(slot.name)), { batch: kv.batch, width, from: first, to: 0, count });
      return out;
    };
    return { layersK: this.#layout.layers.map(({ k }, i) => read(i, k)), layersV: this.#layout.layers.map(({ v }, i) => read(i, v)) };
  }

  [Symbol.dispose](): void {
    if (!this.#live) return;
    if (owners.get(this.compiled) === this) {
      for (const { k, v } of this.#layout.layers)
        for (const { name } of [k, v]) if (this.compiled.hasGpuHandle(name)) this.compiled.unbindGpuHandle(name);
      owners.delete(this.compiled);
    }
    this.#live = false;
    this.#held[Symbol.dispose]();
  }
}
