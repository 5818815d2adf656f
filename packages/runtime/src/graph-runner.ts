import type { Bindings, Graph, Tensor, TensorType } from "@rlxjs/ir";
import type { Executable, RunCall } from "./backend.ts";
import { bindWeights, checkWeight, isStored, paramsOf } from "./bind.ts";
import type { OpenDevice } from "./device.ts";
import { BusyError, UseAfterDisposeError, WeightNameError } from "./errors.ts";
import { sumGpuCounts } from "./gpu-counts.ts";
import { GpuHandles } from "./gpu-handles.ts";
import { HostHandles } from "./host-handles.ts";
import { bindInputs, leavesOf } from "./inputs.ts";
import { trackLeak, untrackLeak } from "./leaks.ts";
import { loadProgram } from "./load.ts";
import { countStateCopies } from "./memory-report.ts";
import type { Program } from "./program.ts";
import type { CompiledStats, CopyCounts, GraphTypes, Outputs, RunOptions } from "./run-options.ts";
import { allocateResults, deliveredOutputs } from "./run-results.ts";
import { StateSet } from "./state.ts";
import { runAtOnce, runInSlices, type Work } from "./task.ts";
import type { WeightStore } from "./weights.ts";

export interface RunnerParts {
  readonly graph: Graph;
  readonly program: Program;
  readonly device: OpenDevice;
  readonly weights: WeightStore | undefined;
}

type RunCounts = Omit<CompiledStats, keyof CopyCounts>;

/** What must be freed, apart from the object, so that a leaked one can be cleaned up. */
interface Resources<Out extends string> {
  executable: Executable | undefined;
  state: StateSet | undefined;
  readonly gpu: GpuHandles<Out>;
  readonly releaseWeights: () => void;
  readonly releaseDevice: () => void;
}

/** A run that is checked and ready, and how it ends when it has succeeded. */
interface PreparedRun<Out extends string> {
  readonly call: RunCall;
  readonly unlockState: () => void;
  readonly finish: () => Outputs<Out>;
}

/** About what the description of a step takes, here and on the device. */
const STEP_BYTES = 1024;

function free(resources: Resources<string>): void {
  resources.executable?.[Symbol.dispose]();
  resources.state?.[Symbol.dispose]();
  resources.gpu.free();
  resources.releaseWeights();
  resources.releaseDevice();
}

/** Runs a program, one run at a time: binds weights, checks inputs, makes room for outputs, applies feeds. Behind every CompiledGraph. */
export class GraphRunner<Out extends string> implements Disposable {
  readonly types: GraphTypes<Out>;
  readonly params: ReadonlyMap<string, TensorType>;
  readonly states: ReadonlyMap<string, TensorType>;
  readonly host: HostHandles<Out>;
  readonly gpu: GpuHandles<Out>;
  activeExtent: Bindings = {};
  readonly #graph: Graph;
  readonly #program: Program;
  readonly #device: OpenDevice;
  readonly #weights: WeightStore | undefined;
  readonly #params = new Map<string, Tensor>();
  readonly #resources: Resources<Out>;
  readonly #copiesPerRun: number;
  /** Names of the program's inputs and outputs, in its order. */
  readonly #slots: { readonly input: readonly string[]; readonly output: readonly Out[] };
  /** `residentBytes` without states and handles; undefined: to be counted, because params decide it. */
  #ownBytes: number | undefined;
  #totals: RunCounts;
  #busy = false;
  #disposed = false;

  constructor({ graph, program, device, weights }: RunnerParts) {
    const outputs = graph.outputs.flatMap(({ name, value }): [Out, TensorType][] => {
      const type = graph.values[value];
      return type ? [[name as Out, { dtype: type.dtype, shape: type.shape }]] : [];
    });
    this.types = { name: graph.name, inputs: leavesOf(graph, "input"), outputs: new Map(outputs) };
    this.params = paramsOf(graph);
    this.states = new Map(program.buffers.flatMap((b) => (b.kind === "state" ? [[b.name, { dtype: b.dtype, shape: b.shape }]] : [])));
    this.host = new HostHandles(this.types);
    this.gpu = new GpuHandles(this.types, device);
    this.#graph = graph;
    this.#program = program;
    this.#device = device;
    this.#weights = weights;
    this.#copiesPerRun = countStateCopies(program);
    const named = (kind: "input" | "output"): string[] => program.buffers.flatMap((b) => (b.kind === kind ? [b.name] : []));
    this.#slots = { input: named("input"), output: named("output") as Out[] };
    this.#totals = { compiles: 0, runs: 0, nativeCalls: 0, hostSteps: 0, stateCopies: 0, arenaBytes: program.arenaBytes };
    const releaseDevice = device.retain();
    const releaseWeights = weights?.retain() ?? (() => undefined);
    this.#resources = { executable: undefined, state: undefined, gpu: this.gpu, releaseWeights, releaseDevice };
    const resources = this.#resources;
    trackLeak(this, `CompiledGraph "${graph.name}"`, () => free(resources));
  }

  /** Reserve the graph; returns how to end that. BusyError when somebody has. */
  lock(): () => void {
    this.#usable();
    if (this.#busy) throw new BusyError(`CompiledGraph "${this.types.name}"`);
    this.#busy = true;
    return () => {
      this.#busy = false;
      if (this.#disposed) free(this.#resources);
    };
  }
  /** Do something at once while nobody else may. */
  exclusive<T>(action: () => T): T {
    const unlock = this.lock();
    try {
      return action();
    } finally {
      unlock();
    }
  }

  async prepare(signal: AbortSignal | undefined): Promise<void> {
    const unlock = this.lock();
    try {
      await runInSlices(this.#load(), signal);
    } finally {
      unlock();
    }
  }
  prepareSync(): void {
    this.exclusive(() => runAtOnce(this.#load()));
  }

  async run(options: RunOptions<Out>): Promise<Outputs<Out>> {
    options.signal?.throwIfAborted();
    const unlock = this.lock();
    try {
      return await this.runLocked(this.atExtents(options));
    } finally {
      unlock();
    }
  }
  /** The options with the extents as they are now: `setActiveExtent` is for runs that are asked for later. */
  atExtents(options: RunOptions<Out>): RunOptions<Out> {
    return { ...options, extents: { ...this.activeExtent, ...options.extents } };
  }
  /** For whoever holds the lock, with the options of `atExtents`. */
  async runLocked(options: RunOptions<Out>): Promise<Outputs<Out>> {
    this.#usable();
    const executable = await runInSlices(this.#load(), options.signal);
    const { call, unlockState, finish } = this.#begin(options);
    try {
      await executable.run(call);
    } finally {
      unlockState();
    }
    return finish();
  }
  runSync(options: RunOptions<Out>): Outputs<Out> {
    options.signal?.throwIfAborted();
    return this.exclusive(() => {
      const executable = runAtOnce(this.#load());
      const { call, unlockState, finish } = this.#begin(this.atExtents(options));
      try {
        executable.runSync(call);
      } finally {
        unlockState();
      }
      return finish();
    });
  }

  createState(): StateSet {
    this.#usable();
    return new StateSet(this.#device, this.states);
  }

  setParam(name: string, tensor: Tensor): void {
    this.exclusive(() => {
      const type = this.params.get(name);
      const where = `graph "${this.types.name}"`;
      if (!type) throw new WeightNameError(where, name, `expected one of ${[...this.params.keys()].join(", ") || "none"}`);
      checkWeight(this.types.name, name, type, tensor);
      this.#params.set(name, tensor);
      this.#ownBytes = undefined;
      this.#unload();
    });
  }

  stats(): CompiledStats {
    return { ...this.#runStats(), ...this.gpu.counts };
  }

  get residentBytes(): number {
    const scope = { store: this.#weights, params: this.#params };
    this.#ownBytes ??= this.#program.buffers.reduce(
      (sum, b) => (b.kind === "constant" || (b.kind === "weight" && !isStored(b.source, scope)) ? sum + b.bytes : sum),
      this.#program.arenaBytes + STEP_BYTES * this.#program.steps.length,
    );
    return this.#ownBytes + this.gpu.bytes + (this.#resources.state?.bytes ?? 0);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    untrackLeak(this);
    if (!this.#busy) free(this.#resources);
  }

  #usable(): void {
    if (this.#disposed) throw new UseAfterDisposeError(`CompiledGraph "${this.types.name}"`);
  }

  *#load(): Work<Executable> {
    const { backend } = this.#device;
    const known = this.#resources.executable;
    if (known) return known;
    const bound = yield* bindWeights(this.#program, { backend, store: this.#weights, params: this.#params });
    const executable = yield* loadProgram(backend, this.#program, bound);
    this.#resources.executable = executable;
    this.#totals = { ...this.#totals, compiles: this.#totals.compiles + 1 };
    return executable;
  }

  #unload(): void {
    this.#totals = this.#runStats();
    this.#resources.executable?.[Symbol.dispose]();
    this.#resources.executable = undefined;
  }

  #runStats(): RunCounts {
    const { executable } = this.#resources;
    if (!executable) return this.#totals;
    const { runs, nativeCalls, hostSteps, arenaBytes, gpu: counted } = executable.stats();
    const gpu = sumGpuCounts([this.#totals.gpu, counted]);
    return {
      ...this.#totals,
      ...(gpu ? { gpu } : {}),
      runs: this.#totals.runs + runs,
      nativeCalls: this.#totals.nativeCalls + nativeCalls,
      hostSteps: this.#totals.hostSteps + hostSteps,
      arenaBytes,
    };
  }

  #begin(options: RunOptions<Out>): PreparedRun<Out> {
    const { inputs = {}, extents: given = {}, into, signal, trace } = options;
    const values = { ...this.host.values(), ...this.gpu.values(), ...inputs };
    const { extents, bytes } = bindInputs(this.#graph, this.types.inputs, values, given);
    const resident = this.gpu.plan(extents, options.feeds, options.keep);
    const delivered = deliveredOutputs(this.types, options, resident.outputs);
    const results = allocateResults(this.types, new Set([...delivered, ...this.host.fed()]), into, extents, bytes);
    const state = this.states.size === 0 && !options.state ? undefined : (options.state ?? this.#ownState());
    const states = state?.buffersFor(this.types.name, this.#device.backend, this.states) ?? [];
    const stays = resident.start();
    const call: RunCall = {
      extents: this.#program.symbols.map((s) => extents[s.name] ?? 0),
      inputs: this.#slots.input.map((name) => bytes.get(name) ?? new Uint8Array()),
      outputs: this.#slots.output.map((name) => stays.get(name) ?? results.get(name)?.bytes),
      states,
      signal,
      trace,
    };
    const fromHost = [...bytes].filter(([name]) => Object.hasOwn(inputs, name) || !this.gpu.has(name));
    const toDeviceBytes = fromHost.reduce((sum, [, b]) => sum + b.byteLength, 0);
    const finish = (): Outputs<Out> => {
      for (const [name, computed] of stays) results.get(name)?.bytes.set(computed);
      this.host.update(results);
      resident.apply();
      this.#count(results, toDeviceBytes);
      return Object.fromEntries([...results].filter(([name]) => delivered.has(name))) as Outputs<Out>;
    };
    return { call, unlockState: state?.acquire() ?? (() => undefined), finish };
  }

  #count(results: ReadonlyMap<Out, Tensor>, toDeviceBytes: number): void {
    const toHostBytes = [...results.values()].reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    this.gpu.count({ toHostBytes, toDeviceBytes });
    this.#totals = { ...this.#totals, stateCopies: this.#totals.stateCopies + this.#copiesPerRun };
  }

  #ownState(): StateSet {
    this.#resources.state ??= this.createState();
    return this.#resources.state;
  }
}
