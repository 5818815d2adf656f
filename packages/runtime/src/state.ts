import { byteLength, dimMax, showShape, showType, Tensor, type TensorType } from "@rlxjs/ir";
import type { Backend, DeviceBuffer } from "./backend.ts";
import type { OpenDevice } from "./device.ts";
import { copyRows, rowLayout } from "./device-rows.ts";
import { BusyError, StateError, UseAfterDisposeError } from "./errors.ts";
import { trackLeak, untrackLeak } from "./leaks.ts";
import { typeBytes } from "./storage.ts";

interface Entry {
  readonly type: TensorType;
  readonly buffer: DeviceBuffer;
}

/**
 * Named device memory that outlives a run: KV caches, counters. Zero at first, sized for the upper bounds of its extents. Compiled
 * graphs that declare the same names and types share one set; one run at a time uses it.
 */
export class StateSet implements Disposable {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #device: OpenDevice;
  readonly #free: () => void;
  /** Buffers by the declarations that they were checked against: each graph has its own, for good. */
  readonly #checked = new WeakMap<ReadonlyMap<string, TensorType>, readonly DeviceBuffer[]>();
  #disposed = false;
  #busy = false;

  /** For sessions: see `Session.createState`. */
  constructor(device: OpenDevice, types: ReadonlyMap<string, TensorType>) {
    const entries = new Map<string, Entry>();
    for (const [name, type] of types) entries.set(name, { type, buffer: device.backend.allocate(dimMax(typeBytes(type))) });
    this.#entries = entries;
    this.#device = device;
    const release = device.retain();
    this.#free = () => {
      for (const { buffer } of entries.values()) buffer[Symbol.dispose]();
      release();
    };
    trackLeak(this, `a StateSet of ${entries.size} states`, this.#free);
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }
  /** The declared type of a state. */
  typeOf(name: string): TensorType {
    return this.#entry(name).type;
  }
  /** Device bytes of all states. */
  get bytes(): number {
    let sum = 0;
    for (const { buffer } of this.#entries.values()) sum += buffer.bytes.byteLength;
    return sum;
  }

  /** A copy of a state at the upper bound of its extents, or of its dense first part when a `shape` is given. */
  read(name: string, shape?: readonly number[]): Tensor {
    this.#usable();
    const { type, buffer } = this.#entry(name);
    const actual = this.#checkedShape(name, type, shape ?? type.shape.map(dimMax));
    return Tensor.fromBytes(type.dtype, actual, buffer.bytes.slice(0, byteLength(type.dtype, actual)));
  }

  /** Overwrite a state, or its dense first part when the tensor has smaller extents where the state's are symbolic. */
  write(name: string, tensor: Tensor): void {
    this.#usable();
    const { type, buffer } = this.#entry(name);
    if (tensor.dtype !== type.dtype)
      throw new StateError(`state "${name}"`, `expected ${showType(type)}, got ${tensor.dtype}${showShape(tensor.shape)}`);
    this.#checkedShape(name, type, tensor.shape);
    buffer.bytes.set(tensor.bytes);
  }

  /** A copy of `rows` rows of a state along `axis`, from row `from` on, the other extents at their upper bounds: a part of a KV cache. */
  readRows(name: string, axis: number, rows: number, from = 0): Tensor {
    this.#usable();
    const { type, buffer } = this.#entry(name);
    const { shape, layout } = rowsAlong(name, type, axis, rows, from);
    const out = Tensor.zeros(type.dtype, shape.with(axis, rows));
    copyRows({ bytes: out.bytes, layout: { ...layout, extent: rows }, row: 0 }, { bytes: buffer.bytes, layout, row: from }, rows);
    return out;
  }

  /** Overwrite rows of a state along `axis`, from row `from` on, by a tensor as `readRows` gives it; the other rows stay as they are. */
  writeRows(name: string, axis: number, tensor: Tensor, from = 0): void {
    this.#usable();
    const { type, buffer } = this.#entry(name);
    const rows = tensor.shape[axis] ?? 0;
    const { shape, layout } = rowsAlong(name, type, axis, rows, from);
    const expected = shape.with(axis, rows);
    if (tensor.dtype !== type.dtype || showShape(tensor.shape) !== showShape(expected))
      throw new StateError(
        `state "${name}"`,
        `expected ${type.dtype}${showShape(expected)}, got ${tensor.dtype}${showShape(tensor.shape)}`,
      );
    copyRows({ bytes: buffer.bytes, layout, row: from }, { bytes: tensor.bytes, layout: { ...layout, extent: rows }, row: 0 }, rows);
  }

  /**
   * Copy the first `rows` of a state along `axis` from a set whose state of that name has the same type but for that extent, on the device: a
   * KV cache moves to another capacity. Returns the bytes.
   */
  copyRowsFrom(other: StateSet, name: string, axis: number, rows: number): number {
    this.#usable();
    other.#usable();
    const [target, source] = [this.#entry(name), other.#entry(name)];
    const from = rowsAlong(name, source.type, axis, rows, 0);
    const to = rowsAlong(name, target.type, axis, rows, 0);
    if (target.type.dtype !== source.type.dtype || showShape(to.shape.with(axis, rows)) !== showShape(from.shape.with(axis, rows)))
      throw new StateError(`state "${name}"`, `expected ${showType(target.type)} but for axis ${axis}, got ${showType(source.type)}`);
    return copyRows(
      { bytes: target.buffer.bytes, layout: to.layout, row: 0 },
      { bytes: source.buffer.bytes, layout: from.layout, row: 0 },
      rows,
    );
  }

  /** Zero all states, or the named ones. */
  reset(names: readonly string[] = this.names): void {
    this.#usable();
    for (const name of names) this.#entry(name).buffer.bytes.fill(0);
  }

  /** Copy the named states (default: all of this set) from another set that has them with the same types. */
  copyFrom(other: StateSet, names: readonly string[] = this.names): void {
    this.#usable();
    other.#usable();
    for (const name of names) {
      const target = this.#entry(name);
      const source = other.#entry(name);
      if (showType(target.type) !== showType(source.type))
        throw new StateError(`state "${name}"`, `expected ${showType(target.type)}, got ${showType(source.type)}`);
      target.buffer.bytes.set(source.buffer.bytes);
    }
  }

  /** The buffers of a graph's states, in the order of `types`; checks that they are what the graph declares. For the runtime. */
  buffersFor(graph: string, backend: Backend, types: ReadonlyMap<string, TensorType>): readonly DeviceBuffer[] {
    this.#usable();
    if (backend !== this.#device.backend) throw new StateError(`graph "${graph}"`, "the StateSet belongs to another session");
    const known = this.#checked.get(types);
    if (known) return known;
    const buffers = [...types].map(([name, type]) => {
      const entry = this.#entries.get(name);
      if (!entry || showType(entry.type) !== showType(type))
        throw new StateError(
          `graph "${graph}"`,
          `state "${name}": expected ${showType(type)}, got ${entry ? showType(entry.type) : "nothing"}`,
        );
      return entry.buffer;
    });
    this.#checked.set(types, buffers);
    return buffers;
  }

  /** Reserve the set for one run; returns how to end it. For the runtime. */
  acquire(): () => void {
    this.#usable();
    this.#busy = true;
    return () => {
      this.#busy = false;
      if (this.#disposed) this.#free();
    };
  }

  /** Free the memory. When a run uses the set, that happens as it ends; other uses are refused from now on. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    untrackLeak(this);
    if (!this.#busy) this.#free();
  }

  #usable(): void {
    if (this.#disposed) throw new UseAfterDisposeError("a StateSet");
    if (this.#busy) throw new BusyError("a StateSet");
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw new StateError(`state "${name}"`, `expected one of ${this.names.join(", ") || "none"}`);
    return entry;
  }

  #checkedShape(name: string, type: TensorType, shape: readonly number[]): readonly number[] {
    const fits =
      shape.length === type.shape.length &&
      type.shape.every((d, i) => (typeof d === "number" ? d === shape[i] : (shape[i] ?? 0) <= dimMax(d)));
    if (!fits) throw new StateError(`state "${name}"`, `expected ${showType(type)}, got ${type.dtype}${showShape(shape)}`);
    return shape;
  }
}

/** The layout of a state as rows along an axis, of which `rows` from row `from` on are there. */
function rowsAlong(name: string, type: TensorType, axis: number, rows: number, from: number) {
  const shape = type.shape.map(dimMax);
  const layout = rowLayout(type.dtype, shape, axis);
  if (!layout) throw new StateError(`state "${name}"`, `axis: expected one of ${showType(type)} that has whole elements, got ${axis}`);
  const { extent } = layout;
  if (!Number.isSafeInteger(from) || from < 0 || from > extent)
    throw new StateError(`state "${name}"`, `from: expected 0 to ${extent}, got ${from}`);
  if (!Number.isSafeInteger(rows) || rows < 0 || from + rows > extent)
    throw new StateError(`state "${name}"`, `rows: expected 0 to ${extent - from}, got ${rows}`);
  return { shape, layout };
}
