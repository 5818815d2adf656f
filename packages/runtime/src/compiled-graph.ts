import { type Bindings, byteLength, type Graph, showShape, Tensor, type TensorData, type TensorType } from "@rlxjs/ir";
import type { Executable, RunCall } from "./backend.ts";
import { bindWeights, checkWeight, isStored, paramsOf } from "./bind.ts";
import type { OpenDevice } from "./device.ts";
import { BusyError, ExtentError, OutputError, UseAfterDisposeError, WeightNameError } from "./errors.ts";
import { actualShape, arrayOf, bindInputs, type InputValues, leavesOf } from "./inputs.ts";
import { trackLeak, untrackLeak } from "./leaks.ts";
import { countStateCopies, type MemoryReport, memoryReport } from "./memory-report.ts";
import type { CompileReports } from "./passes/compile.ts";
import type { DispatchReport } from "./passes/dispatch.ts";
import type { Miss, PassStats } from "./passes/pass.ts";
import type { Program } from "./program.ts";
import { StateSet } from "./state.ts";
import { runAtOnce, runInSlices, type Work } from "./task.ts";
import type { WeightStore } from "./weights.ts";

export interface RunOptions<Out extends string = string> {
  /** Not to be changed until the run has ended. */
  readonly inputs?: InputValues;
  /** States to run on; default: a set of the graph's own. */
  readonly state?: StateSet;
  /** Extents that no input shows, or that must agree with what inputs show. */
  readonly extents?: Bindings;
  /** Outputs to deliver; default: all. */
  readonly read?: readonly Out[];
  /** Memory for outputs, in the dtype's typed array, with exactly the number of elements of this run. Not to be transferred before the run has ended. */
  readonly into?: Readonly<Partial<Record<Out, TensorData>>>;
  /** Aborted: the run stops between steps, and fails with the signal's reason. Outputs and states are then undefined. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the time of every step of the program, in microseconds. */
  readonly trace?: ((stepMicros: Float64Array) => void) | undefined;
}

export type Outputs<Out extends string = string> = Readonly<Record<Out, Tensor>>;

export interface CompiledStats {
  /** How often the program was loaded on the device: 1, and once more for each change of params. */
  readonly compiles: number;
  readonly runs: number;
  /** Calls from JavaScript into native code. */
  readonly nativeCalls: number;
  /** Steps that ran as TypeScript references. */
  readonly hostSteps: number;
  /** Copies of states (KV caches) that runs made. */
  readonly stateCopies: number;
  readonly arenaBytes: number;
}

/** What `Session.compile` hands over. */
export interface CompiledParts {
  /** As the caller gave it: decides names and types of inputs, outputs, params. */
  readonly graph: Graph;
  readonly program: Program;
  readonly device: OpenDevice;
  readonly weights: WeightStore | undefined;
  readonly reports: CompileReports;
}

/** What must be freed, apart from the object, so that a leaked one can be cleaned up. */
interface Resources {
  executable: Executable | undefined;
  state: StateSet | undefined;
  readonly releaseWeights: () => void;
  readonly releaseDevice: () => void;
}

/** About what the description of a step takes, here and on the device. */
const STEP_BYTES = 1024;

function free(resources: Resources): void {
  resources.executable?.[Symbol.dispose]();
  resources.state?.[Symbol.dispose]();
  resources.releaseWeights();
  resources.releaseDevice();
}

/**
 * A graph that is ready to run on a device. One run at a time: a run during another one is refused with BusyError. Disposing it during a
 * run refuses further ones and frees the memory when that run has ended.
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
  readonly #device: OpenDevice;
  readonly #weights: WeightStore | undefined;
  readonly #params = new Map<string, Tensor>();
  readonly #resources: Resources;
  readonly #copiesPerRun: number;
  /** Names of the program's inputs and outputs, in its order. */
  readonly #slots: { readonly input: readonly string[]; readonly output: readonly string[] };
  #activeExtent: Bindings = {};
  /** `residentBytes` without states; undefined: to be counted, because params decide it. */
  #ownBytes: number | undefined;
  #totals: CompiledStats;
  #busy = false;
  #disposed = false;

  /** For sessions: see `Session.compile`. */
  constructor({ graph, program, device, weights, reports }: CompiledParts) {
    this.name = graph.name;
    this.program = program;
    this.dispatchReport = reports.report;
    this.passStats = reports.stats;
    this.fusionMisses = reports.misses;
    this.inputs = leavesOf(graph, "input");
    this.params = paramsOf(graph);
    this.states = new Map(program.buffers.flatMap((b) => (b.kind === "state" ? [[b.name, { dtype: b.dtype, shape: b.shape }]] : [])));
    this.outputs = new Map(
      graph.outputs.flatMap(({ name, value }) => {
        const type = graph.values[value];
        return type ? [[name as Out, { dtype: type.dtype, shape: type.shape }]] : [];
      }),
    );
    this.#graph = graph;
    this.#device = device;
    this.#weights = weights;
    this.#copiesPerRun = countStateCopies(program);
    const named = (kind: "input" | "output"): string[] => program.buffers.flatMap((b) => (b.kind === kind ? [b.name] : []));
    this.#slots = { input: named("input"), output: named("output") };
    this.#totals = { compiles: 0, runs: 0, nativeCalls: 0, hostSteps: 0, stateCopies: 0, arenaBytes: program.arenaBytes };
    const releaseDevice = device.retain();
    this.#resources = { executable: undefined, state: undefined, releaseWeights: weights?.retain() ?? (() => undefined), releaseDevice };
    const resources = this.#resources;
    trackLeak(this, `CompiledGraph "${graph.name}"`, () => free(resources));
  }

  /** Bind the weights and load the program now instead of at the first run, without holding the event loop. */
  async prepare(signal?: AbortSignal): Promise<void> {
    const unlock = this.#lock();
    try {
      await runInSlices(this.#load(), signal);
    } finally {
      unlock();
    }
  }
  /** The same, at once. */
  prepareSync(): void {
    const unlock = this.#lock();
    try {
      runAtOnce(this.#load());
    } finally {
      unlock();
    }
  }

  /** Run off the event loop. Everything is checked before anything runs. */
  async run(options: RunOptions<Out> = {}): Promise<Outputs<Out>> {
    options.signal?.throwIfAborted();
    const unlock = this.#lock();
    try {
      const executable = await runInSlices(this.#load(), options.signal);
      const { call, results, unlockState } = this.#begin(options);
      try {
        await executable.run(call);
      } finally {
        unlockState();
      }
      return this.#finish(results);
    } finally {
      unlock();
    }
  }

  /** Run on the calling thread. */
  runSync(options: RunOptions<Out> = {}): Outputs<Out> {
    options.signal?.throwIfAborted();
    const unlock = this.#lock();
    try {
      const executable = runAtOnce(this.#load());
      const { call, results, unlockState } = this.#begin(options);
      try {
        executable.runSync(call);
      } finally {
        unlockState();
      }
      return this.#finish(results);
    } finally {
      unlock();
    }
  }

  /** Run, but deliver only the named outputs. */
  runReadOutputs<const K extends Out>(
    inputs: InputValues,
    read: readonly K[],
    options: Omit<RunOptions<Out>, "inputs" | "read"> = {},
  ): Promise<Outputs<K>> {
    return this.run({ ...options, inputs, read });
  }

  /** Set a param after compiling; it goes before the store's weight of that name. Copied at the next run. */
  setParam(name: string, tensor: Tensor): void {
    const unlock = this.#lock();
    try {
      const type = this.params.get(name);
      const where = `graph "${this.name}"`;
      if (!type) throw new WeightNameError(where, name, `expected one of ${[...this.params.keys()].join(", ") || "none"}`);
      checkWeight(this.name, name, type, tensor);
      this.#params.set(name, tensor);
      this.#ownBytes = undefined;
      this.#unload();
    } finally {
      unlock();
    }
  }

  /**
   * From now on the extent whose upper bound is `upper` is `actual`, unless a run says otherwise; undefined: no longer. Inputs and outputs are
   * dense at `actual`; rows of states beyond it are not touched.
   */
  setActiveExtent(extent: { readonly actual: number; readonly upper: number } | undefined): void {
    if (!extent) {
      this.#activeExtent = {};
      return;
    }
    const symbols = [...this.#graph.symbols].filter(([, { max }]) => max === extent.upper);
    const [bucket] = symbols;
    if (!bucket || symbols.length > 1)
      throw new ExtentError(this.name, `active extent: expected one extent with upper bound ${extent.upper}, got ${symbols.length}`);
    const [name, { min, max }] = bucket;
    if (!Number.isSafeInteger(extent.actual) || extent.actual < min || extent.actual > max)
      throw new ExtentError(this.name, `extent "${name}": expected an integer from ${min} to ${max}, got ${extent.actual} (active extent)`);
    this.#activeExtent = { [name]: extent.actual };
  }

  stats(): CompiledStats {
    return addStats(this.#totals, this.#resources.executable);
  }

  /** Where the program's memory goes: arena, weights, states, inputs and outputs at their upper bounds. */
  get memoryReport(): MemoryReport {
    return memoryReport(this.program);
  }

  /** Bytes that end with this graph: its arena, constants, weights that no store shares, states of its own, 1 KiB per step. */
  get residentBytes(): number {
    const scope = { store: this.#weights, params: this.#params };
    this.#ownBytes ??= this.program.buffers.reduce(
      (sum, b) => (b.kind === "constant" || (b.kind === "weight" && !isStored(b.source, scope)) ? sum + b.bytes : sum),
      this.program.arenaBytes + STEP_BYTES * this.program.steps.length,
    );
    return this.#ownBytes + (this.#resources.state?.bytes ?? 0);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    untrackLeak(this);
    if (!this.#busy) free(this.#resources);
  }

  #lock(): () => void {
    if (this.#disposed) throw new UseAfterDisposeError(`CompiledGraph "${this.name}"`);
    if (this.#busy) throw new BusyError(`CompiledGraph "${this.name}"`);
    this.#busy = true;
    return () => {
      this.#busy = false;
      if (this.#disposed) free(this.#resources);
    };
  }

  *#load(): Work<Executable> {
    const { backend } = this.#device;
    const known = this.#resources.executable;
    if (known) return known;
    const bound = yield* bindWeights(this.program, { backend, store: this.#weights, params: this.#params });
    const executable = backend.load(this.program, bound);
    this.#resources.executable = executable;
    this.#totals = { ...this.#totals, compiles: this.#totals.compiles + 1 };
    return executable;
  }

  #unload(): void {
    this.#totals = { ...this.stats() };
    this.#resources.executable?.[Symbol.dispose]();
    this.#resources.executable = undefined;
  }

  #begin(options: RunOptions<Out>): { call: RunCall; results: Outputs<Out>; unlockState: () => void } {
    const { inputs = {}, extents: given = {}, signal, trace } = options;
    const { extents, bytes } = bindInputs(this.#graph, this.inputs, inputs, { ...this.#activeExtent, ...given });
    const results = this.#allocate(options, extents, bytes);
    const state = this.states.size === 0 && !options.state ? undefined : (options.state ?? this.#ownState());
    const states = state?.buffersFor(this.name, this.#device.backend, this.states) ?? [];
    const call: RunCall = {
      extents: this.program.symbols.map((s) => extents[s.name] ?? 0),
      inputs: this.#slots.input.map((name) => bytes.get(name) ?? new Uint8Array()),
      outputs: this.#slots.output.map((name) => results[name]?.bytes),
      states,
      signal,
      trace,
    };
    return { call, results: results as Outputs<Out>, unlockState: state?.acquire() ?? (() => undefined) };
  }

  #finish(results: Outputs<Out>): Outputs<Out> {
    this.#totals = { ...this.#totals, stateCopies: this.#totals.stateCopies + this.#copiesPerRun };
    return results;
  }

  #ownState(): StateSet {
    this.#resources.state ??= new StateSet(this.#device, this.states);
    return this.#resources.state;
  }

  #allocate(
    { read, into }: RunOptions<Out>,
    extents: Bindings,
    inputs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  ): Partial<Record<string, Tensor>> {
    const targets: Partial<Record<string, TensorData>> = into ?? {};
    const results: Partial<Record<string, Tensor>> = {};
    for (const name of [...(read ?? []), ...Object.keys(targets)])
      if (!this.outputs.has(name as Out))
        throw new OutputError(this.name, `unknown output "${name}": expected ${[...this.outputs.keys()].join(", ")}`);
    for (const [name, type] of this.outputs) {
      const target = Object.hasOwn(targets, name) ? targets[name] : undefined;
      if (read && !read.includes(name) && !target) continue;
      const shape = actualShape(type, extents);
      if (target) {
        const users = [...inputs].map(([input, bytes]): [string, TensorData] => [`input "${input}"`, bytes]);
        for (const other of this.outputs.keys()) {
          const memory = other !== name && Object.hasOwn(targets, other) ? targets[other] : undefined;
          if (memory) users.push([`output "${other}"`, memory]);
        }
        const user = users.find(([, memory]) => overlap(target, memory));
        if (user) throw new OutputError(this.name, `output "${name}": its memory is also that of ${user[0]}`);
      }
      results[name] = target ? intoTensor(this.name, name, type, shape, target) : Tensor.zeros(type.dtype, shape);
    }
    return results;
  }
}

function intoTensor(graph: string, name: string, type: TensorType, shape: readonly number[], target: TensorData): Tensor {
  const expected = arrayOf(type);
  const bytes = byteLength(type.dtype, shape);
  if (!(target instanceof expected))
    throw new OutputError(graph, `output "${name}": expected a ${expected.name}, got a ${target.constructor.name}`);
  if (target.byteLength !== bytes)
    throw new OutputError(
      graph,
      `output "${name}": expected ${bytes} bytes for ${type.dtype}${showShape(shape)}, got ${target.byteLength}`,
    );
  return new Tensor(type.dtype, shape, target);
}

const overlap = (a: TensorData, b: TensorData): boolean =>
  a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;

function addStats(totals: CompiledStats, executable: Executable | undefined): CompiledStats {
  if (!executable) return totals;
  const { runs, nativeCalls, hostSteps, arenaBytes } = executable.stats();
  return {
    ...totals,
    runs: totals.runs + runs,
    nativeCalls: totals.nativeCalls + nativeCalls,
    hostSteps: totals.hostSteps + hostSteps,
    arenaBytes,
  };
}
