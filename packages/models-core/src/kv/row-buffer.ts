import type { Tensor } from "@rlxjs/ir";

/** f32 rows in memory that devices read. */
export type KvRows = Float32Array<ArrayBuffer>;

/** The elements of a tensor as f32: its memory where it holds them so. */
export const f32Of = (tensor: Tensor): KvRows => (tensor.data instanceof Float32Array ? tensor.data : Float32Array.from(tensor.values()));

/**
 * Copy `count` rows of every sequence between two batch-major buffers [batch, slots, width]: from row `from` of the source to row `to` of the
 * target. Returns the bytes.
 */
export function copyRows(
  target: KvRows,
  source: KvRows,
  { batch, width, from, to, count }: { batch: number; width: number; from: number; to: number; count: number },
): number {
  const [targetSlots, sourceSlots] = [target.length / (batch * width), source.length / (batch * width)];
  if (count > 0)
    for (let b = 0; b < batch; b++) {
      const start = (b * sourceSlots + from) * width;
      target.set(source.subarray(start, start + count * width), (b * targetSlots + to) * width);
    }
  return batch * count * width * 4;
}

/** Rows [batch, slots, width] of which the first `rows` of every sequence are in use; behind them room to grow. */
export class RowBuffer {
  readonly batch: number;
  readonly width: number;
  /** Bytes copied inside the host because rows got other places. */
  movedBytes = 0;
  #data: KvRows;
  #rows: number;
  /** Slots from here on are zeros. */
  #written: number;

  /** Takes over `data`, [batch, rows, width]. */
  constructor(batch: number, width: number, data: KvRows) {
    this.batch = batch;
    this.width = width;
    this.#data = data;
    this.#rows = data.length / (batch * width);
    this.#written = this.#rows;
  }

  get rows(): number {
    return this.#rows;
  }
  get #slots(): number {
    return this.#data.length / (this.batch * this.width);
  }

  /** [batch, rows, width], dense: a view where that is what is stored, else a copy. */
  dense(): KvRows {
    if (this.batch === 1) return this.#data.subarray(0, this.#rows * this.width);
    return this.#slots === this.#rows ? this.#data : this.#laidOut(this.#rows);
  }

  /** [batch, upper, width] with zeros behind the rows: the buffer's own memory, laid out anew when it has another number of slots. */
  padded(upper: number): KvRows {
    if (this.#slots !== upper) this.#lay(upper);
    else if (this.#written > this.#rows) {
      for (let b = 0; b < this.batch; b++)
        this.#data.fill(0, (b * upper + this.#rows) * this.width, (b * upper + this.#written) * this.width);
      this.#written = this.#rows;
    }
    return this.#data;
  }

  /** The first `rows` are in use from now on: fewer than before. */
  truncate(rows: number): void {
    this.#rows = rows;
  }

  /** Rows `from` to `from + count` of `source` [batch, *, width] go behind the last one. */
  append(source: KvRows, from: number, count: number): void {
    const rows = this.#rows + count;
    if (rows > this.#slots) this.#lay(Math.max(rows, 2 * this.#rows, 16));
    copyRows(this.#data, source, { batch: this.batch, width: this.width, from, to: this.#rows, count });
    this.#rows = rows;
    this.#written = Math.max(this.#written, rows);
  }

  /** Drop the first `count` rows of every sequence. */
  dropOldest(count: number): void {
    if (count === 0) return;
    const { batch, width } = this;
    const slots = this.#slots;
    for (let b = 0; b < batch; b++) this.#data.copyWithin(b * slots * width, (b * slots + count) * width, (b * slots + this.#rows) * width);
    this.#rows -= count;
    this.movedBytes += batch * this.#rows * width * 4;
  }

  #lay(slots: number): void {
    this.#data = this.#laidOut(slots);
    this.#written = this.#rows;
  }

  #laidOut(slots: number): KvRows {
    const { batch, width } = this;
    const data = new Float32Array(batch * slots * width);
    this.movedBytes += copyRows(data, this.#data, { batch, width, from: 0, to: 0, count: this.#rows });
    return data;
  }
}
