import { type Graph, type HirModule, lowerHirWork, type ParamTypes, showType, type Tensor, type TensorType, verifyWork } from "@rlxjs/ir";
import type { BackendOptions, Device, DeviceInfo, MappedFile } from "./backend.ts";
import { CompiledGraph } from "./compiled-graph.ts";
import { OpenDevice } from "./device.ts";
import { StateError } from "./errors.ts";
import { trackLeak, untrackLeak } from "./leaks.ts";
import { lowerWork } from "./lower.ts";
import type { PassOptions } from "./passes/options.ts";
import { CachedCompiler } from "./program-cache/compiler.ts";
import type { ProgramCache, ProgramCacheStats } from "./program-cache/program-cache.ts";
import { openBackend } from "./registry.ts";
import { StateSet } from "./state.ts";
import { runAtOnce, runInSlices, type Work } from "./task.ts";
import type { WeightStore } from "./weights.ts";

export interface SessionOptions extends BackendOptions {
  readonly device: Device;
  /** Compiled graphs of earlier processes; `compileSync` asks it if it has `getSync`. Weights are no part of what it keeps. */
  readonly programCache?: ProgramCache;
  /** Hears of entries of the program cache that could not be used, and of its failures. The graph is compiled then. */
  readonly onProgramCacheProblem?: (error: unknown) => void;
}

export interface SessionStats {
  readonly compiles: number;
  readonly programCache: ProgramCacheStats;
}

export interface CompileOptions {
  /** Where params come from: all that the graph needs. Without it they are set with `setParam` before the first run. */
  readonly weights?: WeightStore;
  /** Params of this graph alone; they go before those of `weights`, as with `setParam`. */
  readonly overrides?: Readonly<Record<string, Tensor>>;
  /** Types of an HIR module's weights, when they do not come from `weights`. */
  readonly params?: ParamTypes;
  /** Options of the graph compiler. */
  readonly passes?: Partial<PassOptions>;
  readonly signal?: AbortSignal;
}

/** An open device: compiles graphs and makes states. */
export class Session implements Disposable {
  readonly info: DeviceInfo;
  readonly #device: OpenDevice;
  readonly #compiler: CachedCompiler;
  #compiles = 0;

  private constructor(device: OpenDevice, compiler: CachedCompiler) {
    this.#device = device;
    this.#compiler = compiler;
    this.info = device.backend.info;
    trackLeak(this, `the session of device "${this.info.device}"`, () => device.abandon());
  }

  /** Open a device that a backend has registered. DeviceUnavailableError says what there is. */
  static async open({ device, programCache, onProgramCacheProblem, ...options }: SessionOptions): Promise<Session> {
    return new Session(new OpenDevice(await openBackend(device, options)), new CachedCompiler(programCache, onProgramCacheProblem));
  }

  /** Compile a graph or an HIR module; evaluates and packs its weights in slices that leave the event loop free. */
  async compile<Out extends string>(source: Graph<Out> | HirModule<Out>, options: CompileOptions = {}): Promise<CompiledGraph<Out>> {
    options.signal?.throwIfAborted();
    const compiled = await runInSlices(this.#compile<Out>(source, options), options.signal);
    try {
      if (bindsAll(compiled, options)) await compiled.prepare(options.signal);
      return compiled;
    } catch (error) {
      compiled[Symbol.dispose]();
      throw error;
    }
  }

  /** The same, at once. */
  compileSync<Out extends string>(source: Graph<Out> | HirModule<Out>, options: Omit<CompileOptions, "signal"> = {}): CompiledGraph<Out> {
    const compiled = runAtOnce(this.#compile<Out>(source, options));
    try {
      if (bindsAll(compiled, options)) compiled.prepareSync();
      return compiled;
    } catch (error) {
      compiled[Symbol.dispose]();
      throw error;
    }
  }

  /** Zeroed memory for the states of these graphs; states that they declare alike are shared. */
  createState(...graphs: readonly { readonly name: string; readonly states: ReadonlyMap<string, TensorType> }[]): StateSet {
    const types = new Map<string, TensorType>();
    for (const { name: graph, states } of graphs)
      for (const [name, type] of states) {
        const known = types.get(name) ?? type;
        if (showType(known) !== showType(type))
          throw new StateError(
            `graph "${graph}"`,
            `state "${name}": expected ${showType(known)} as in the other graphs, got ${showType(type)}`,
          );
        types.set(name, known);
      }
    return new StateSet(this.#device, types);
  }

  /** Map a file where the device can; undefined where it cannot. */
  mapFile(path: string): MappedFile | undefined {
    return this.#device.backend.mapFile?.(path);
  }

  stats(): SessionStats {
    return { compiles: this.#compiles, programCache: this.#compiler.stats };
  }

  /** Close the device once the compiled graphs and states of this session are disposed too; they can no longer be used. */
  [Symbol.dispose](): void {
    untrackLeak(this);
    this.#device.close();
  }

  *#compile<Out extends string>(source: Graph<Out> | HirModule<Out>, options: CompileOptions): Work<CompiledGraph<Out>> {
    const { weights, params } = options;
    const { backend } = this.#device;
    const passes = backend.hostSteps === false ? { ...options.passes, forbidReference: true } : options.passes;
    // Whoever disposes the session or the weights meanwhile must not close them under the compiler's hands.
    const release = [this.#device.retain(), ...(weights ? [weights.retain()] : [])];
    try {
      const graph = yield* lowered(source, params ?? ((name) => weights?.get(name)));
      const { graph: legal, ...reports } = yield* this.#compiler.compile(graph, backend, passes);
      const program = yield* lowerWork(legal, { kernels: backend.kernels, hoistWeights: passes?.hoistWeights ?? true });
      this.#compiles++;
      return new CompiledGraph<Out>({ graph, program, device: this.#device, weights, reports });
    } finally {
      for (const end of release) end();
    }
  }
}

/** Set what the options override; whether all params are there now. */
function bindsAll(compiled: CompiledGraph, { weights, overrides = {} }: CompileOptions): boolean {
  for (const [name, tensor] of Object.entries(overrides)) compiled.setParam(name, tensor);
  return weights !== undefined || [...compiled.params.keys()].every((name) => Object.hasOwn(overrides, name));
}

/** The graph of either kind of source. What the caller built is verified; lowering checks every node as it adds it. */
function* lowered<Out extends string>(source: Graph<Out> | HirModule<Out>, params: ParamTypes): Work<Graph<Out>> {
  if (!("symbols" in source)) return yield* lowerHirWork(source, params);
  yield* verifyWork(source);
  return source;
}
