import { type Bindings, byteLength, dimMax, showShape, showType, Tensor, type TensorType } from "@rlxjs/ir";
import type { DeviceBuffer } from "./backend.ts";
import type { OpenDevice } from "./device.ts";
import { clearRows, copyRows, resizeRows, rowLayout } from "./device-rows.ts";
import { HandleError, InputShapeError, OutputError, UnknownInputError } from "./errors.ts";
import { checkFeeds, feedList, feedOutput, type GpuHandleFeed, type GpuHandleFeeds, type GpuRowFeed, planRows } from "./feeds.ts";
import { actualShape, checkTensor, type InputValues } from "./inputs.ts";
import type { CopyCounts, GraphTypes } from "./run-options.ts";
import { typeBytes } from "./storage.ts";

/** Rows of a handle along an axis. */
export interface HandleRows {
  /** How many, from the first one on. */
  readonly rows?: number;
  /** Default 1: [batch, rows, width]. */
  readonly axis?: number;
}

/** Memory of the device, sized for the upper bounds of a type; the contents are its dense first part, of shape `shape`. */
interface Resident {
  memory: DeviceBuffer;
  shape: readonly number[];
}
interface Bound<Out extends string> extends Resident {
  readonly type: TensorType;
  feeds: readonly GpuHandleFeed<Out>[];
}

/** What a run leaves on the device, and what it does with it when it has succeeded. */
export interface ResidentRun<Out extends string> {
  /** Outputs that stay. */
  readonly outputs: ReadonlySet<Out>;
  /** The run begins: the last run's outputs are gone. Where those of this one go. */
  start(): ReadonlyMap<Out, Uint8Array<ArrayBuffer>>;
  /** The run has succeeded. */
  apply(): void;
}

const used = (dtype: TensorType["dtype"], { memory, shape }: Resident): Uint8Array<ArrayBuffer> =>
  memory.bytes.subarray(0, byteLength(dtype, shape));

/**
 * Inputs that live on the device, the outputs that stay there, and what moves from one to the other between runs. Outputs are computed
 * into memory of their own; a handle that is fed a whole output changes places with it.
 */
export class GpuHandles<Out extends string> {
  readonly #graph: GraphTypes<Out>;
  readonly #device: OpenDevice;
  readonly #bound = new Map<string, Bound<Out>>();
  /** Memory that resident outputs are computed into. */
  readonly #scratch = new Map<Out, DeviceBuffer>();
  /** Outputs of the last run that are still there. */
  readonly #kept = new Map<Out, Resident>();
  #counts: CopyCounts = { deviceCopyBytes: 0, toHostBytes: 0, toDeviceBytes: 0 };

  constructor(graph: GraphTypes<Out>, device: OpenDevice) {
    this.#graph = graph;
    this.#device = device;
  }

  get counts(): CopyCounts {
    return this.#counts;
  }
  /** Device bytes of handles and of outputs that stay. */
  get bytes(): number {
    const memories = [...[...this.#bound.values()].map((h) => h.memory), ...this.#scratch.values()];
    return memories.reduce((sum, m) => sum + m.bytes.byteLength, 0);
  }

  bind(name: string, tensor: Tensor): void {
    const type = this.#inputType(name);
    checkTensor(this.#graph.name, name, type, tensor);
    if (tensor.shape.some((d, axis) => d > dimMax(type.shape[axis] ?? 0)))
      throw new InputShapeError(this.#graph.name, name, type, `${tensor.dtype}${showShape(tensor.shape)}`);
    const handle = this.#makeRoom(name, type);
    handle.shape = tensor.shape;
    handle.memory.bytes.set(tensor.bytes);
    this.count({ toDeviceBytes: tensor.bytes.byteLength });
  }

  has(name: string): boolean {
    return this.#bound.has(name);
  }

  read(name: string): Tensor {
    const { type, ...resident } = this.#handle(name);
    const bytes = used(type.dtype, resident).slice();
    this.count({ toHostBytes: bytes.byteLength });
    return Tensor.fromBytes(type.dtype, resident.shape, bytes);
  }

  unbind(name: string): void {
    const { memory } = this.#handle(name);
    this.#bound.delete(name);
    this.#forget(memory);
    memory[Symbol.dispose]();
    this.#freeScratch(new Set([...this.#kept.keys(), ...[...this.#bound.values()].flatMap(({ feeds }) => feeds.map(feedOutput))]));
  }

  /** See `CompiledGraph.copyGpuHandleFrom`. */
  copyFrom(other: GpuHandles<string>, name: string, { rows, axis = 1 }: HandleRows): void {
    const type = this.#inputType(name);
    const source = other.#handle(name);
    const from = rowLayout(source.type.dtype, source.shape, axis);
    const count = rows ?? from?.extent ?? 0;
    const symbolic = typeof type.shape[axis] !== "number";
    // Of a symbolic extent nothing stays: all of it is as in the source. Otherwise there may be rows behind those that are copied.
    const known = symbolic ? undefined : this.#bound.get(name)?.shape;
    const shape = known ?? type.shape.map((d, i) => (typeof d === "number" ? d : i === axis ? count : (source.shape[i] ?? 0)));
    const agrees =
      source.type.dtype === type.dtype &&
      shape.length === source.shape.length &&
      shape.every((d, i) => i === axis || (d === source.shape[i] && d <= dimMax(type.shape[i] ?? 0)));
    const to = rowLayout(type.dtype, shape, axis);
    if (!agrees || !from || !to)
      throw new InputShapeError(this.#graph.name, name, type, `rows along axis ${axis} of ${source.type.dtype}${showShape(source.shape)}`);
    const limit = Math.min(from.extent, dimMax(type.shape[axis] ?? 0));
    if (!Number.isSafeInteger(count) || count < 0 || count > limit)
      throw new HandleError(this.#graph.name, name, `rows: expected 0 to ${limit}, got ${count}`);
    const handle = this.#makeRoom(name, type);
    handle.shape = shape;
    const target = { bytes: handle.memory.bytes, layout: to, row: 0 };
    this.count({ deviceCopyBytes: copyRows(target, { bytes: source.memory.bytes, layout: from, row: 0 }, count) });
  }

  /** See `CompiledGraph.truncateGpuHandle`. */
  truncate(name: string, { rows = 0, axis = 1 }: HandleRows): void {
    const handle = this.#handle(name);
    const { type, memory } = handle;
    const layout = rowLayout(type.dtype, handle.shape, axis);
    if (!layout) throw new HandleError(this.#graph.name, name, `axis ${axis}: expected an axis of rows, got ${showType(type)}`);
    if (!Number.isSafeInteger(rows) || rows < 0 || rows > layout.extent)
      throw new HandleError(this.#graph.name, name, `rows: expected 0 to ${layout.extent}, got ${rows}`);
    if (typeof type.shape[axis] === "number") {
      clearRows(memory.bytes, layout, rows);
      this.#forget(memory);
    } else this.#resize(handle, axis, rows);
  }

  setFeeds(name: string, feeds: GpuHandleFeed<Out> | readonly GpuHandleFeed<Out>[] | undefined): void {
    const handle = this.#handle(name);
    const list = feeds === undefined ? [] : feedList(feeds);
    checkFeeds(this.#graph, name, handle.type, list);
    handle.feeds = list;
  }

  /** A row of an output of the last run that stayed. */
  readRow(output: Out, row: number, { axis = 1, rows = 1 }: HandleRows): Tensor {
    const { name, outputs } = this.#graph;
    const type = outputs.get(output);
    const kept = this.#kept.get(output);
    if (!type || !kept) throw new OutputError(name, `output "${output}": did not stay on the device in the last run: name it in \`keep\``);
    const layout = rowLayout(type.dtype, kept.shape, axis);
    if (!layout) throw new OutputError(name, `output "${output}": no rows along axis ${axis} of ${type.dtype}${showShape(kept.shape)}`);
    if (!Number.isSafeInteger(row) || !Number.isSafeInteger(rows) || row < 0 || rows < 1 || row + rows > layout.extent)
      throw new OutputError(name, `output "${output}": expected rows within ${layout.extent}, got ${row} to ${row + rows - 1}`);
    const result = Tensor.zeros(type.dtype, kept.shape.with(axis, rows));
    const target = { bytes: result.bytes, layout: { ...layout, extent: rows }, row: 0 };
    this.count({ toHostBytes: copyRows(target, { bytes: kept.memory.bytes, layout, row }, rows) });
    return result;
  }

  /** What stands for inputs: views of device memory. */
  values(): InputValues {
    return Object.fromEntries([...this.#bound].map(([name, h]) => [name, Tensor.fromBytes(h.type.dtype, h.shape, used(h.type.dtype, h))]));
  }

  /** Decide what a run at these extents leaves on the device. Nothing changes yet. */
  plan(extents: Bindings, given: GpuHandleFeeds<Out> = {}, keep: readonly Out[] = []): ResidentRun<Out> {
    const { name: graph, outputs } = this.#graph;
    const shapeOf = (name: Out): readonly number[] => actualShape(outputs.get(name) ?? { dtype: "f32", shape: [] }, extents);
    for (const name of keep)
      if (!outputs.has(name)) throw new OutputError(graph, `keep: unknown output "${name}": expected ${[...outputs.keys()].join(", ")}`);
    const feeds = new Map([...this.#bound].map(([name, handle]) => [name, handle.feeds]));
    for (const [name, value] of Object.entries(given)) {
      const list = feedList(value);
      checkFeeds(this.#graph, name, this.#handle(name).type, list);
      feeds.set(name, list);
    }
    const rows: (() => void)[] = [];
    const whole: (() => void)[] = [];
    const stay = new Set(keep);
    for (const [name, list] of feeds) {
      const handle = this.#handle(name);
      for (const feed of list) stay.add(feedOutput(feed));
      const [first] = list;
      if (typeof first === "string") whole.push(() => this.#exchange(name, first));
      else rows.push(...this.#rowCopies(handle, name, list as readonly GpuRowFeed<Out>[], shapeOf));
    }
    const resident = new Map<Out, Resident>();
    return {
      outputs: stay,
      start: () => {
        this.#kept.clear();
        this.#freeScratch(stay);
        for (const name of stay) resident.set(name, { memory: this.#scratchOf(name), shape: shapeOf(name) });
        return new Map([...resident].map(([name, r]) => [name, used(outputs.get(name)?.dtype ?? "f32", r)]));
      },
      apply: () => {
        for (const [name, r] of resident) this.#kept.set(name, r);
        // Rows first: they need outputs where they were computed.
        for (const step of [...rows, ...whole]) step();
      },
    };
  }

  count(more: Partial<CopyCounts>): void {
    const { deviceCopyBytes, toHostBytes, toDeviceBytes } = this.#counts;
    this.#counts = {
      deviceCopyBytes: deviceCopyBytes + (more.deviceCopyBytes ?? 0),
      toHostBytes: toHostBytes + (more.toHostBytes ?? 0),
      toDeviceBytes: toDeviceBytes + (more.toDeviceBytes ?? 0),
    };
  }

  free(): void {
    for (const { memory } of this.#bound.values()) memory[Symbol.dispose]();
    for (const memory of this.#scratch.values()) memory[Symbol.dispose]();
    this.#bound.clear();
    this.#scratch.clear();
    this.#kept.clear();
  }

  #rowCopies(
    handle: Bound<Out>,
    name: string,
    feeds: readonly GpuRowFeed<Out>[],
    shapeOf: (name: Out) => readonly number[],
  ): (() => void)[] {
    return planRows(this.#graph, name, handle.type, handle.shape, feeds, shapeOf).map(
      ({ output, axis, rows, source, srcRow, dstRow, extent }) =>
        () => {
          const from = this.#kept.get(output);
          this.#resize(handle, axis, extent);
          const layout = rowLayout(handle.type.dtype, handle.shape, axis);
          if (!from || !layout) return;
          const target = { bytes: handle.memory.bytes, layout, row: dstRow };
          this.count({ deviceCopyBytes: copyRows(target, { bytes: from.memory.bytes, layout: source, row: srcRow }, rows) });
        },
    );
  }

  /** The handle takes the output's memory, and the next run computes the output into the handle's. */
  #exchange(name: string, output: Out): void {
    const handle = this.#handle(name);
    const kept = this.#kept.get(output);
    if (!kept) return;
    handle.shape = kept.shape;
    if (this.#scratch.get(output) === kept.memory) {
      this.#scratch.set(output, handle.memory);
      handle.memory = kept.memory;
      return;
    }
    // Another handle has taken it already.
    const bytes = used(handle.type.dtype, kept);
    handle.memory.bytes.set(bytes);
    this.count({ deviceCopyBytes: bytes.byteLength });
  }

  #resize(handle: Bound<Out>, axis: number, rows: number): void {
    const layout = rowLayout(handle.type.dtype, handle.shape, axis);
    if (!layout || layout.extent === rows) return;
    this.count({ deviceCopyBytes: resizeRows(handle.memory.bytes, layout, rows) });
    handle.shape = handle.shape.with(axis, rows);
    this.#forget(handle.memory);
  }

  /** The handle of an input, made if there is none; its contents are about to change. */
  #makeRoom(name: string, type: TensorType): Bound<Out> {
    const known = this.#bound.get(name);
    if (known) this.#forget(known.memory);
    const handle = known ?? { type, memory: this.#allocate(type), shape: [], feeds: [] };
    this.#bound.set(name, handle);
    return handle;
  }

  #scratchOf(output: Out): DeviceBuffer {
    const type = this.#graph.outputs.get(output) ?? { dtype: "f32", shape: [] };
    const memory = this.#scratch.get(output) ?? this.#allocate(type);
    this.#scratch.set(output, memory);
    return memory;
  }
  #allocate(type: TensorType): DeviceBuffer {
    return this.#device.backend.allocate(dimMax(typeBytes(type)));
  }

  /** Free the memory of outputs that no longer stay. */
  #freeScratch(needed: ReadonlySet<Out>): void {
    for (const [name, memory] of this.#scratch) {
      if (needed.has(name)) continue;
      memory[Symbol.dispose]();
      this.#scratch.delete(name);
    }
  }

  /** An output of the last run that was in this memory is gone. */
  #forget(memory: DeviceBuffer): void {
    for (const [name, kept] of this.#kept) if (kept.memory === memory) this.#kept.delete(name);
  }

  #inputType(name: string): TensorType {
    const { name: graph, inputs } = this.#graph;
    const type = inputs.get(name);
    if (!type) throw new UnknownInputError(graph, name, inputs.keys());
    return type;
  }
  #handle(name: string): Bound<Out> {
    const handle = this.#bound.get(name);
    if (!handle)
      throw new HandleError(this.#graph.name, name, `is not bound on the device; bound: ${[...this.#bound.keys()].join(", ") || "none"}`);
    return handle;
  }
}
