import { dimMax, showType, type TensorType } from "@rlxjs/ir";
import type { CompiledGraph, RunOptions, StateSet } from "@rlxjs/runtime";
import { DecodeGraphError } from "./errors.ts";
import type { CacheSlot, StateLayout } from "./graph-layout.ts";
import type { HeldGraph, HostLayers, KvPlace } from "./kv-place.ts";
import type { KvCacheState } from "./kv-state.ts";
import type { KvRows } from "./row-buffer.ts";
import { rowsOfTensor, tensorOfRows } from "./row-io.ts";

/** The rows of a cache in the states of graphs in state form. */
export class StatePlace implements KvPlace {
  readonly kv: KvCacheState;
  readonly compiled: CompiledGraph;
  readonly #held: HeldGraph;
  readonly #layout: StateLayout;
  /** Made when rows come. */
  #state: StateSet | undefined;
  #live = true;

  constructor(kv: KvCacheState, held: HeldGraph, layout: StateLayout) {
    this.kv = kv;
    this.compiled = held.compiled;
    this.#held = held;
    this.#layout = layout;
  }

  get live(): boolean {
    return this.#live;
  }

  upload(): void {
    writeRows(this.#own(), this.#layout, this.kv);
  }

  takeFrom(place: KvPlace): void {
    if (!(place instanceof StatePlace))
      throw new DecodeGraphError(
        this.compiled.name,
        `expected a graph in concat form, as "${place.compiled.name}" before, got one in state form`,
      );
    const from = place.#own();
    const same = ([name, type]: readonly [string, TensorType]): boolean =>
      from.names.includes(name) && showType(from.typeOf(name)) === showType(type);
    const states = [...this.compiled.states];
    if (states.every(same)) {
      // The graphs declare the same states: nothing moves.
      this.#state = from;
      place.#state = undefined;
      return;
    }
    const own = this.#own();
    for (const [name, type] of states)
      if (same([name, type])) own.copyFrom(from, [name]);
      else if (from.names.includes(name)) own.copyRowsFrom(from, name, this.#rowAxis(name, type, from.typeOf(name)), this.kv.pastLen);
  }

  truncate(): void {
    // Rows behind the length are overwritten before they are read.
  }

  runOptions(): Pick<RunOptions, "state"> {
    return { state: this.#own() };
  }

  download(from: number): HostLayers {
    return readRows(this.#own(), this.#layout, from, this.kv.pastLen - from);
  }

  [Symbol.dispose](): void {
    if (!this.#live) return;
    this.#live = false;
    this.#state?.[Symbol.dispose]();
    this.#held[Symbol.dispose]();
  }

  #own(): StateSet {
    this.#state ??= this.compiled.createState();
    return this.#state;
  }

  /** The axis along which the states of two graphs have different extents: the one that counts positions, for norms of quantized caches too. */
  #rowAxis(name: string, own: TensorType, other: TensorType): number {
    const axes = own.shape.flatMap((d, axis) => (dimMax(d) === dimMax(other.shape[axis] ?? 0) ? [] : [axis]));
    const [axis] = axes;
    if (axis === undefined || axes.length > 1 || own.shape.length !== other.shape.length)
      throw new DecodeGraphError(
        this.compiled.name,
        `state ${name}: expected ${showType(other)} with another number of positions, got ${showType(own)}`,
      );
    return axis;
  }
}

/** Put all rows of a cache on the host into the states of a graph, at their positions. */
export function writeRows(state: StateSet, { layers }: StateLayout, kv: KvCacheState): void {
  const { layersK, layersV, layersKvBase: base } = kv;
  const write = (slot: CacheSlot, data: KvRows | undefined, from: number | undefined): void => {
    if (data && data.length > 0) state.writeRows(slot.name, slot.rowAxis, tensorOfRows(slot, kv.batch, data), from);
  };
  for (const [i, { k, v }] of layers.entries()) {
    write(k, layersK[i], base[i]);
    write(v, layersV[i], base[i]);
  }
}

/** Rows of `count` positions from `from` on out of the states of a graph. */
export function readRows(state: StateSet, { layers }: StateLayout, from: number, count: number): HostLayers {
  const read = (slot: CacheSlot): KvRows => rowsOfTensor(slot, state.readRows(slot.name, slot.rowAxis, count, from));
  return { layersK: layers.map(({ k }) => read(k)), layersV: layers.map(({ v }) => read(v)) };
}
