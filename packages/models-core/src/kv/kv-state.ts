import { checkCount, KvStateError } from "./errors.ts";
import type { KvPlace } from "./kv-place.ts";
import { type KvRows, RowBuffer } from "./row-buffer.ts";

export interface KvCacheInit {
  /** Sequences. Default 1. */
  readonly batch?: number;
  /** Elements of a key row and of a value row (heads * headDim), per layer. */
  readonly kvDims: readonly number[];
  /** Positions that the cache has seen. Default 0. */
  readonly pastLen?: number;
  /** Per layer [batch, pastLen - base, kvDim]; taken over, not copied. Default: empty. */
  readonly layersK?: readonly KvRows[];
  readonly layersV?: readonly KvRows[];
  /** Per layer the position of its first row; default 0. */
  readonly layersKvBase?: readonly number[];
}

/**
 * Keys and values of `batch` sequences of equal length: per layer token-major f32 rows for the positions from `layersKvBase` to `pastLen`, keys
 * after RoPE, heads not repeated. Layers may have different widths. The rows are in host memory, on a device (see `GpuKvBinding`), or both;
 * positions that are on a device alone come to the host with `syncGpuKvToHost`, and reading them before that is a KvStateError.
 */
export class KvCacheState {
  readonly batch: number;
  readonly kvDims: readonly number[];
  #pastLen: number;
  #changes = 0;
  /** Positions below it are on the host, */
  #hostLen: number;
  /** and below `length` at this place on a device. */
  #device: { readonly place: KvPlace; length: number } | undefined;
  readonly #base: number[];
  readonly #k: readonly RowBuffer[];
  readonly #v: readonly RowBuffer[];

  constructor({ batch = 1, kvDims, pastLen = 0, layersK, layersV, layersKvBase = kvDims.map(() => 0) }: KvCacheInit) {
    this.batch = checkCount("batch", batch, 1);
    this.kvDims = kvDims.map((width, i) => checkCount(`kvDims[${i}]`, width, 1));
    this.#pastLen = checkCount("pastLen", pastLen);
    this.#hostLen = pastLen;
    checkLayers("layersKvBase", layersKvBase, kvDims.length);
    this.#base = layersKvBase.map((base, i) => checkCount(`layersKvBase[${i}]`, base, 0, pastLen));
    const buffers = (what: string, given: readonly KvRows[] | undefined): RowBuffer[] => {
      if (given) checkLayers(what, given, kvDims.length);
      return kvDims.map((width, i) => {
        const data = given?.[i] ?? new Float32Array(0);
        checkRows(`${what}[${i}]`, data, [batch, pastLen - (this.#base[i] ?? 0), width]);
        return new RowBuffer(batch, width, data);
      });
    };
    this.#k = buffers("layersK", layersK);
    this.#v = buffers("layersV", layersV);
  }

  /** Positions seen so far: the position of the next token. */
  get pastLen(): number {
    return this.#pastLen;
  }
  /** How often rows have been added or dropped: an equal number means the same rows. */
  get changes(): number {
    return this.#changes;
  }
  /** Positions of which the host has the rows; less than `pastLen` when the others are on a device. */
  get hostLen(): number {
    return this.#hostLen;
  }
  get layers(): number {
    return this.kvDims.length;
  }
  /** Keys per layer [batch, pastLen - base, kvDim]: to read, until the cache changes. */
  get layersK(): KvRows[] {
    this.#needHost();
    return this.#k.map((b) => b.dense());
  }
  /** Values per layer, as `layersK`. */
  get layersV(): KvRows[] {
    this.#needHost();
    return this.#v.map((b) => b.dense());
  }
  /** Per layer the position of its first row: 0 until `trim` dropped some. */
  get layersKvBase(): readonly number[] {
    return [...this.#base];
  }
  /** Rows per sequence that a layer has. */
  rowsOf(layer: number): number {
    return this.#pastLen - (this.#base[layer] ?? 0);
  }
  /** Bytes of the rows on the host. */
  get bytes(): number {
    return [...this.#k, ...this.#v].reduce((sum, b) => sum + 4 * b.batch * b.rows * b.width, 0);
  }
  /** Bytes that were copied inside the host so far because rows got other places: growth, another padding, `trim`. */
  get movedBytes(): number {
    return [...this.#k, ...this.#v].reduce((sum, b) => sum + b.movedBytes, 0);
  }

  /** Append `count` positions: per layer rows [batch, rows, kvDim], of which `from` to `from + count` are taken. Checked before anything is written. */
  append(newK: readonly KvRows[], newV: readonly KvRows[], { from = 0, count }: { from?: number; count?: number } = {}): void {
    this.#needHost();
    const rows = this.#checkNew(newK, newV);
    checkCount("append: from", from, 0, rows);
    const taken = checkCount("append: count", count ?? rows - from, 0, rows - from);
    this.#write(newK, newV, from, taken);
    this.#pastLen += taken;
    this.#changes++;
  }

  /** Forget the positions from `length` on: a change of a number. Rows that `trim` dropped do not come back. */
  truncate(length: number): void {
    checkCount("truncate", length, Math.max(0, ...this.#base), this.#pastLen);
    this.#changes++;
    this.#pastLen = length;
    this.#hostLen = Math.min(this.#hostLen, length);
    if (this.#device) this.#device.length = Math.min(this.#device.length, length);
    for (const buffers of [this.#k, this.#v])
      for (const [i, buffer] of buffers.entries()) buffer.truncate(Math.max(0, this.#hostLen - (this.#base[i] ?? 0)));
  }

  /**
   * Keep the newest `window` rows of the given layers (default: all) and drop the older ones; `pastLen` stays. A layer whose queries see
   * `W` keys, their own included, needs the newest W - 1 for the next token.
   */
  trim(window: number, layers: readonly number[] = this.kvDims.map((_, i) => i)): void {
    this.#needHost();
    checkCount("trim: window", window);
    for (const layer of layers) checkCount("trim: layer", layer, 0, this.layers - 1);
    this.#changes++;
    for (const layer of layers) {
      const dropped = Math.max(0, this.rowsOf(layer) - window);
      this.#k[layer]?.dropOldest(dropped);
      this.#v[layer]?.dropOldest(dropped);
      this.#base[layer] = (this.#base[layer] ?? 0) + dropped;
      if (dropped > 0 && this.#device) this.#device.length = 0; // Rows have other places now.
    }
  }

  /**
   * Per layer the rows with zeros behind them, [batch, upper, kvDim]: memory of the cache, to read, until the cache changes. Rows are copied
   * when `upper` (of all layers, or per layer) is another one than the last time.
   */
  padLayersToUpper(upper: number | readonly number[]): { readonly layersK: KvRows[]; readonly layersV: KvRows[] } {
    this.#needHost();
    const uppers = this.kvDims.map((_, i) =>
      checkCount("padLayersToUpper", (typeof upper === "number" ? upper : upper[i]) ?? 0, this.rowsOf(i)),
    );
    const padded = (buffers: readonly RowBuffer[]): KvRows[] => buffers.map((b, i) => b.padded(uppers[i] ?? 0));
    return { layersK: padded(this.#k), layersV: padded(this.#v) };
  }

  /** A cache of its own on the host with the first `length` positions; default: all. */
  clone(length: number = this.#pastLen): KvCacheState {
    const copied = (rows: readonly KvRows[]): KvRows[] => rows.map((data) => data.slice());
    const { batch, kvDims, layersKvBase } = this;
    const init = { batch, kvDims, layersKvBase, pastLen: this.#pastLen, layersK: copied(this.layersK), layersV: copied(this.layersV) };
    const copy = new KvCacheState(init);
    copy.truncate(length);
    return copy;
  }

  /** Where rows are on a device, and how many positions. For the resident forms. */
  get onDevice(): { readonly place: KvPlace; readonly length: number } | undefined {
    return this.#device?.place.live ? this.#device : undefined;
  }
  /** All positions are at this place now. For the resident forms. */
  settle(place: KvPlace): void {
    this.#device = { place, length: this.#pastLen };
  }
  /** The rows on the device no longer count. For the resident forms. */
  leaveDevice(): void {
    this.#needHost();
    this.#device?.place[Symbol.dispose]();
    this.#device = undefined;
  }
  /** A run has appended rows where the cache is on the device. For the resident forms. */
  advanceOnDevice(count: number): void {
    if (this.onDevice?.length !== this.#pastLen || !this.#device) throw new KvStateError("expected all positions on the device");
    this.#pastLen += count;
    this.#device.length += count;
    this.#changes++;
  }
  /** Rows of the positions from `hostLen` to `pastLen` have come from the device. For the resident forms. */
  fillHost(newK: readonly KvRows[], newV: readonly KvRows[]): void {
    const rows = this.#checkNew(newK, newV);
    this.#write(newK, newV, 0, checkCount("rows from the device", rows, this.#pastLen - this.#hostLen, this.#pastLen - this.#hostLen));
  }

  #checkNew(newK: readonly KvRows[], newV: readonly KvRows[]): number {
    checkLayers("append: keys", newK, this.layers);
    checkLayers("append: values", newV, this.layers);
    const rows = (newK[0]?.length ?? 0) / (this.batch * (this.kvDims[0] ?? 1));
    for (const [what, layers] of [["keys", newK] as const, ["values", newV] as const])
      for (const [i, data] of layers.entries()) checkRows(`append: ${what}[${i}]`, data, [this.batch, rows, this.kvDims[i] ?? 0]);
    return rows;
  }

  #write(newK: readonly KvRows[], newV: readonly KvRows[], from: number, count: number): void {
    for (const [i, data] of newK.entries()) this.#k[i]?.append(data, from, count);
    for (const [i, data] of newV.entries()) this.#v[i]?.append(data, from, count);
    this.#hostLen += count;
  }

  #needHost(): void {
    if (this.#hostLen === this.#pastLen) return;
    const rows = `positions ${this.#hostLen} to ${this.#pastLen - 1}`;
    throw new KvStateError(
      `expected all rows on the host, got ${rows} ${this.onDevice ? "on a device: sync them first" : "lost with the device memory they were in"}`,
    );
  }
}

function checkLayers(what: string, given: readonly unknown[], layers: number): void {
  if (given.length !== layers) throw new KvStateError(`${what}: expected ${layers} layers, got ${given.length}`);
}

function checkRows(what: string, data: KvRows, shape: readonly [batch: number, rows: number, width: number]): void {
  const expected = shape.reduce((a, b) => a * b);
  if (!(data instanceof Float32Array) || data.length !== expected)
    throw new KvStateError(`${what}: expected ${expected} elements for [${shape}], got ${data?.length ?? String(data)}`);
}
