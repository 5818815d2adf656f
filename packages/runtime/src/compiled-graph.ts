import type { Graph, Tensor, TensorType } from "@rlxjs/ir";
import type { OpenDevice } from "./device.ts";
import { ExtentError } from "./errors.ts";
import type { GpuHandleFeed, GpuHandleFeeds } from "./feeds.ts";
import type { HandleRows } from "./gpu-handles.ts";
import { GraphRunner } from "./graph-runner.ts";
import type { InputValues } from "./inputs.ts";
import { type MemoryReport, memoryReport } from "./memory-report.ts";
import type { CompileReports } from "./passes/compile.ts";
import type { DispatchReport } from "./passes/dispatch.ts";
import type { Miss, PassStats } from "./passes/pass.ts";
import type { Program } from "./program.ts";
import type { CompiledStats, Outputs, RunOptions } from "./run-options.ts";
import { RunQueue } from "./run-queue.ts";
import type { StateSet } from "./state.ts";
import type { WeightStore } from "./weights.ts";

/** What `Session.compile` hands over. */
export interface CompiledParts {
  /** As the caller gave it: decides names and types of inputs, outputs, params. */
  readonly graph: Graph;
  readonly program: Program;
  readonly device: OpenDevice;
  readonly weights: WeightStore | undefined;
  readonly reports: CompileReports;
}

/**
 * A graph that is ready to run on a device. One run at a time: a run during another one is refused with BusyError, and so is every use of
 * handles; `commitNoWait` and `runPipelined` queue runs. Disposing it during a run refuses further ones and frees the memory when that run
 * has ended.
 *
 * A handle is a value that stays bound to an input between runs, so that runs need not give it: in JavaScript (`bindHandle`) or in memory
 * of the device (`bindGpuHandle`). Feeds make it what a run computed; a failed or aborted run leaves it as it was.
 */
export class CompiledGraph<Out extends string = string> implements Disposable {
  readonly name: string;
  /** Declared types by name. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<Out, TensorType>;
  readonly params: ReadonlyMap<string, TensorType>;
  readonly states: ReadonlyMap<string, TensorType>;
  readonly program: Program;
  /** How each op runs, and why. */
  readonly dispatchReport: DispatchReport;
  /** What each pass of the compiler did. */
  readonly passStats: readonly PassStats[];
  /** Fusions that were nearly possible, and what stood in their way. */
  readonly fusionMisses: readonly Miss[];
  readonly #graph: Graph;
  readonly #runner: GraphRunner<Out>;
  readonly #queue: RunQueue<Out>;

  /** For sessions: see `Session.compile`. */
  constructor({ reports, ...parts }: CompiledParts) {
    const runner = new GraphRunner<Out>(parts);
    this.name = parts.graph.name;
    this.program = parts.program;
    this.dispatchReport = reports.report;
    this.passStats = reports.stats;
    this.fusionMisses = reports.misses;
    this.inputs = runner.types.inputs;
    this.outputs = runner.types.outputs;
    this.params = runner.params;
    this.states = runner.states;
    this.#graph = parts.graph;
    this.#runner = runner;
    this.#queue = new RunQueue(runner);
  }

  /** Bind the weights and load the program now instead of at the first run, without holding the event loop. */
  prepare(signal?: AbortSignal): Promise<void> {
    return this.#runner.prepare(signal);
  }
  /** The same, at once. */
  prepareSync(): void {
    this.#runner.prepareSync();
  }

  /** Run off the event loop. Everything is checked before anything runs. */
  run(options: RunOptions<Out> = {}): Promise<Outputs<Out>> {
    return this.#runner.run(options);
  }
  /** Run on the calling thread. */
  runSync(options: RunOptions<Out> = {}): Outputs<Out> {
    return this.#runner.runSync(options);
  }

  /** Run, but deliver only the named outputs. */
  runReadOutputs<const K extends Out>(
    inputs: InputValues,
    read: readonly K[],
    options: Omit<RunOptions<Out>, "inputs" | "read"> = {},
  ): Promise<Outputs<K>> {
    return this.run({ ...options, inputs, read });
  }

  /** Run, then feed these handles. Fed outputs are not delivered unless `read` names them. */
  runFeedGpuHandle(
    inputs: InputValues,
    feeds: GpuHandleFeeds<Out>,
    options: Omit<RunOptions<Out>, "inputs" | "feeds"> = {},
  ): Promise<Outputs<Out>> {
    return this.run({ ...options, inputs, feeds });
  }

  /**
   * Start a run behind those that were started before, and return at once. Inputs are copied; `into` is borrowed until the run has ended.
   * `syncPending` delivers what becomes of it. BusyError when a run that was not queued is under way.
   */
  commitNoWait(options: RunOptions<Out> = {}): void {
    this.#queue.commit(options);
  }
  /**
   * Wait for the runs that `commitNoWait` started; gives the outputs of the last one, undefined when there was none since the last call.
   * Rejects with the error of the first that failed; those behind it did not run.
   */
  syncPending(): Promise<Outputs<Out> | undefined> {
    return this.#queue.sync();
  }
  /** Run one after the other, each started as soon as the one before has ended. Rejects like `syncPending`. */
  runPipelined(list: readonly RunOptions<Out>[]): Promise<Outputs<Out>[]> {
    return this.#queue.runAll(list);
  }

  /**
   * Bind a copy of a tensor to an input. `feed`: after each run it becomes that output, which has the type of the input. A handle that is
   * called `out0`, `out1`, ... follows the output of that number: no input needs to have the name, and one of another type is not fed by itself.
   */
  bindHandle(name: string, tensor: Tensor, { feed }: { readonly feed?: Out } = {}): void {
    this.#runner.exclusive(() => this.#runner.host.bind(name, tensor, feed));
  }
  /** A copy of what is bound with `bindHandle`. */
  readHandle(name: string): Tensor {
    return this.#runner.exclusive(() => this.#runner.host.read(name));
  }
  unbindHandle(name: string): void {
    this.#runner.exclusive(() => this.#runner.host.unbind(name));
  }

  /**
   * Copy a tensor to device memory that is bound to an input, sized for the input's upper bound. Where the input's extents are symbolic, the
   * tensor's are those of the next run; row feeds that write behind the last row grow them. Binding again overwrites, and keeps the feeds.
   * On the CPU, device memory is native memory that runs read in place.
   */
  bindGpuHandle(name: string, tensor: Tensor): void {
    this.#runner.exclusive(() => this.#runner.gpu.bind(name, tensor));
  }
  /** Whether an input is bound to device memory. */
  hasGpuHandle(name: string): boolean {
    return this.#runner.gpu.has(name);
  }
  /** A copy of a handle's contents, at their actual extents. */
  readGpuHandle(name: string): Tensor {
    return this.#runner.exclusive(() => this.#runner.gpu.read(name));
  }
  /** Free a handle and drop its feeds: runs must give the input again. */
  unbindGpuHandle(name: string): void {
    this.#runner.exclusive(() => this.#runner.gpu.unbind(name));
  }

  /**
   * What a handle becomes after each run; undefined: it stays what it is. A whole output must have the type of the input and changes places
   * with it, nothing is copied; rows are copied within the device. FeedError when the types do not fit, also when a whole output
   * has rows that the input has no place for. Rows are checked before each run.
   */
  setGpuHandleFeed(name: string, feed: GpuHandleFeed<Out> | readonly GpuHandleFeed<Out>[] | undefined): void {
    this.#runner.exclusive(() => this.#runner.gpu.setFeeds(name, feed));
  }

  /**
   * Copy the first rows (default: all) of another graph's handle of the same name, within the device: how a KV cache moves to a larger
   * bucket. A handle that is not bound yet is made, with zeros behind the rows; one of a symbolic extent has these rows and no more.
   */
  copyGpuHandleFrom(other: CompiledGraph, name: string, rows: HandleRows = {}): void {
    this.#runner.exclusive(() => {
      const copy = (): void => this.#runner.gpu.copyFrom(other.#runner.gpu, name, rows);
      if (other.#runner === (this.#runner as unknown)) copy();
      else other.#runner.exclusive(copy);
    });
  }
  /** Drop the rows of a handle behind the first `rows`: along an axis of symbolic extent it gets shorter, along another one they become zeros. */
  truncateGpuHandle(name: string, rows: { readonly rows: number; readonly axis?: number }): void {
    this.#runner.exclusive(() => this.#runner.gpu.truncate(name, rows));
  }

  /** Rows along `axis` (default: one, axis 1) of an output of the last run that stayed on the device: it fed a handle, or `keep` named it. */
  readOutputRow(output: Out, row: number, rows: HandleRows = {}): Tensor {
    return this.#runner.exclusive(() => this.#runner.gpu.readRow(output, row, rows));
  }

  /** Zeroed memory for the states of this graph: see `Session.createState` for several graphs. */
  createState(): StateSet {
    return this.#runner.createState();
  }

  /** Set a param after compiling; it goes before the store's weight of that name. Copied at the next run. */
  setParam(name: string, tensor: Tensor): void {
    this.#runner.setParam(name, tensor);
  }

  /**
   * The extent whose upper bound is `upper` is `actual` in runs that are asked for from now on, unless they say otherwise; undefined: no longer.
   * Inputs and outputs are dense at `actual`; rows of states beyond it are not touched.
   */
  setActiveExtent(extent: { readonly actual: number; readonly upper: number } | undefined): void {
    if (!extent) {
      this.#runner.activeExtent = {};
      return;
    }
    const symbols = [...this.#graph.symbols].filter(([, { max }]) => max === extent.upper);
    const [bucket] = symbols;
    if (!bucket || symbols.length > 1)
      throw new ExtentError(this.name, `active extent: expected one extent with upper bound ${extent.upper}, got ${symbols.length}`);
    const [name, { min, max }] = bucket;
    if (!Number.isSafeInteger(extent.actual) || extent.actual < min || extent.actual > max)
      throw new ExtentError(this.name, `extent "${name}": expected an integer from ${min} to ${max}, got ${extent.actual} (active extent)`);
    this.#runner.activeExtent = { [name]: extent.actual };
  }

  stats(): CompiledStats {
    return this.#runner.stats();
  }

  /** Where the program's memory goes: arena, weights, states, inputs and outputs at their upper bounds. */
  get memoryReport(): MemoryReport {
    return memoryReport(this.program);
  }

  /** Bytes that end with this graph: its arena, constants, weights that no store shares, states and device handles of its own, 1 KiB per step. */
  get residentBytes(): number {
    return this.#runner.residentBytes;
  }

  [Symbol.dispose](): void {
    this.#runner[Symbol.dispose]();
  }
}
