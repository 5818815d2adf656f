import type { Graph, HirModule } from "@rlxjs/ir";
import type { CompiledGraph } from "../compiled-graph.ts";
import { WeightNameError } from "../errors.ts";
import type { PassOptions } from "../passes/options.ts";
import type { Outputs } from "../run-options.ts";
import type { CompileOptions, Session } from "../session.ts";
import type { StateSet } from "../state.ts";
import { runAtOnce, runInSlices, type Work } from "../task.ts";
import type { WeightStore } from "../weights.ts";
import { type BucketRange, checkBuckets, findBucket } from "./buckets.ts";
import type { CompileSource } from "./compile-cache.ts";
import { type CacheStats, CompiledLru } from "./compiled-lru.ts";
import { BucketError } from "./errors.ts";
import { BucketLease } from "./lease.ts";
import { type CacheRunInput, type PaddedInput, rowsRun } from "./padded.ts";
import { type ParamTensors, SharedParams } from "./shared-params.ts";

export interface BucketedCacheOptions {
  /** Most `residentBytes` of all buckets together; default 1 GiB. Buckets in use and the one used last stay beyond that. */
  readonly maxBytes?: number;
  /** Where params come from, shared by all buckets. Without it, the params of the first bucket are kept for the others. */
  readonly weights?: WeightStore;
  readonly passes?: Partial<PassOptions>;
}

export interface BucketCallOptions {
  readonly signal?: AbortSignal;
}
export interface PaddedRunOptions extends BucketCallOptions {
  /** States to run on; default: a set of the bucket's own, which ends with it. */
  readonly state?: StateSet;
}

export type SyncPaddedRunOptions = Omit<PaddedRunOptions, "signal">;

/** What a bucket's graph is built from. */
export interface GraphWithParams<Out extends string = string> {
  readonly graph: Graph<Out>;
  readonly params: ParamTensors;
}
export interface HirWithParams<Out extends string = string> {
  readonly hir: HirModule<Out>;
  readonly params: ParamTensors;
}

/** Makes the source of a bucket; called once for each compile of it, with the bucket's largest key. */
export type BucketBuild<T> = (upper: number) => T | Promise<T>;
/** The same at once. */
export type BucketBuildSync<T> = (upper: number) => T;

interface Made<Out extends string> {
  readonly source: CompileSource<Out>;
  readonly params: ParamTensors;
}
const ofSource = <Out extends string>(source: CompileSource<Out>): Made<Out> => ({ source, params: {} });
const ofGraph = <Out extends string>({ graph, params }: GraphWithParams<Out>): Made<Out> => ({ source: graph, params });
const ofHir = <Out extends string>({ hir, params }: HirWithParams<Out>): Made<Out> => ({ source: hir, params });
const ofRows = ({ name, data, inner }: PaddedInput): CacheRunInput => ({ name, data, rowInner: inner });

/**
 * One graph per range of keys (lengths, batch sizes), compiled when a key of that range is first asked for. A key outside every range
 * gives undefined, and nothing is built. Buckets are freed, least recently used first, when they take more than `maxBytes`.
 */
export class BucketedCompileCache implements Disposable {
  readonly buckets: readonly BucketRange[];
  readonly #session: Session;
  readonly #passes: Partial<PassOptions> | undefined;
  readonly #lru: CompiledLru;
  readonly #params: SharedParams;

  /** BucketError when there is no range, or an empty one, or two that overlap. */
  constructor(session: Session, buckets: readonly BucketRange[], options: BucketedCacheOptions = {}) {
    this.buckets = checkBuckets(buckets);
    this.#session = session;
    this.#passes = options.passes;
    this.#lru = new CompiledLru("BucketedCompileCache", options.maxBytes);
    this.#params = new SharedParams(options.weights);
  }

  get totalBuckets(): number {
    return this.buckets.length;
  }
  /** Buckets whose graph is compiled now. */
  get compiledCount(): number {
    return this.#lru.stats().entries;
  }
  stats(): CacheStats {
    return this.#lru.stats();
  }

  /** Index of the bucket of a key; undefined: it is in none. */
  bucketFor(key: number): number | undefined {
    return findBucket(this.buckets, key);
  }
  /** Largest key of a bucket, by its index. */
  bucketUpper(index: number): number {
    const bucket = this.buckets[index];
    if (!bucket) throw new BucketError(`bucket ${index}: expected an index from 0 to ${this.totalBuckets - 1}`);
    return bucket.end - 1;
  }

  /** The graph of the key's bucket. Requests during a compile share it; a failed one is not kept. */
  getOrCompile<Out extends string>(
    key: number,
    build: BucketBuild<CompileSource<Out>>,
    options: BucketCallOptions = {},
  ): Promise<BucketLease<Out> | undefined> {
    return this.#ensure(key, async (upper) => ofSource(await build(upper)), options);
  }
  /** The same at once. BusyError while the bucket is being compiled for somebody who waits. */
  getOrCompileSync<Out extends string>(key: number, build: BucketBuildSync<CompileSource<Out>>): BucketLease<Out> | undefined {
    return this.#ensureSync(key, (upper) => ofSource(build(upper)));
  }

  /** The same with the graph's params, which go to the device when the bucket is compiled and never again. */
  ensureGraphWithParams<Out extends string>(
    key: number,
    build: BucketBuild<GraphWithParams<Out>>,
    options: BucketCallOptions = {},
  ): Promise<BucketLease<Out> | undefined> {
    return this.#ensure(key, async (upper) => ofGraph(await build(upper)), options);
  }
  /** The same at once. */
  ensureGraphWithParamsSync<Out extends string>(key: number, build: BucketBuildSync<GraphWithParams<Out>>): BucketLease<Out> | undefined {
    return this.#ensureSync(key, (upper) => ofGraph(build(upper)));
  }

  /** The same for a module: its weights have the types of the params. */
  ensureHirWithParams<Out extends string>(
    key: number,
    build: BucketBuild<HirWithParams<Out>>,
    options: BucketCallOptions = {},
  ): Promise<BucketLease<Out> | undefined> {
    return this.#ensure(key, async (upper) => ofHir(await build(upper)), options);
  }
  /** The same at once. */
  ensureHirWithParamsSync<Out extends string>(key: number, build: BucketBuildSync<HirWithParams<Out>>): BucketLease<Out> | undefined {
    return this.#ensureSync(key, (upper) => ofHir(build(upper)));
  }

  /**
   * Run the key's bucket on `actualRows` rows: see `runPaddedMixed`. Every input is rows. The n-th output has `outputInners[n]`
   * elements per row and is delivered at `actualRows` rows; 0 or absent: as it is.
   */
  runPadded<Out extends string>(
    key: number,
    actualRows: number,
    build: BucketBuild<CompileSource<Out>>,
    inputs: readonly PaddedInput[],
    outputInners: readonly number[],
    options: PaddedRunOptions = {},
  ): Promise<Outputs<Out> | undefined> {
    return this.runPaddedMixed(key, actualRows, build, inputs.map(ofRows), outputInners, options);
  }
  /** The same at once. BusyError while the bucket is compiled or run for somebody who waits. */
  runPaddedSync<Out extends string>(
    key: number,
    actualRows: number,
    build: BucketBuildSync<CompileSource<Out>>,
    inputs: readonly PaddedInput[],
    outputInners: readonly number[],
    options: SyncPaddedRunOptions = {},
  ): Outputs<Out> | undefined {
    return this.runPaddedMixedSync(key, actualRows, build, inputs.map(ofRows), outputInners, options);
  }

  /**
   * Run the key's bucket on `actualRows` rows. Inputs with `rowInner` are that many rows; the others are passed as they are.
   *
   * A graph of fixed extents (`[upper, ...]`) gets its rows padded with zeros to `upper` and computes all of them; its outputs are
   * cut back. A graph whose extent is a symbol with the upper bound `upper` needs no padding: the extent is `actualRows`, only those rows
   * are computed, and outputs that have the extent are dense at it, an output with `outputInners` 0 too. Both give the same rows
   * as long as rows do not mix; where they do (attention, means), padding takes part and the symbolic form is the right one.
   *
   * RowsError for inputs or outputs that are not whole rows, or too many, before anything runs. Calls for one bucket take turns.
   */
  async runPaddedMixed<Out extends string>(
    key: number,
    actualRows: number,
    build: BucketBuild<CompileSource<Out>>,
    inputs: readonly CacheRunInput[],
    outputInners: readonly number[],
    options: PaddedRunOptions = {},
  ): Promise<Outputs<Out> | undefined> {
    using lease = await this.getOrCompile(key, build, options);
    if (!lease) return undefined;
    const rows = rowsRun(lease.compiled, { upper: lease.upper, actualRows, inputs, outputInners, ...options });
    return rows.results(await lease.run(rows.options));
  }
  /** The same at once. BusyError while the bucket is compiled or run for somebody who waits. */
  runPaddedMixedSync<Out extends string>(
    key: number,
    actualRows: number,
    build: BucketBuildSync<CompileSource<Out>>,
    inputs: readonly CacheRunInput[],
    outputInners: readonly number[],
    options: SyncPaddedRunOptions = {},
  ): Outputs<Out> | undefined {
    using lease = this.getOrCompileSync(key, build);
    if (!lease) return undefined;
    const rows = rowsRun(lease.compiled, { upper: lease.upper, actualRows, inputs, outputInners, ...options });
    return rows.results(lease.compiled.runSync(rows.options));
  }

  /** Free every bucket: now, or when its last lease ends. */
  [Symbol.dispose](): void {
    this.#lru[Symbol.dispose]();
    this.#params[Symbol.dispose]();
  }

  async #ensure<Out extends string>(
    key: number,
    make: (upper: number) => Promise<Made<Out>>,
    { signal }: BucketCallOptions,
  ): Promise<BucketLease<Out> | undefined> {
    const index = this.bucketFor(key);
    if (index === undefined) return undefined;
    const upper = this.bucketUpper(index);
    const compile = async (stop: AbortSignal) => {
      const made = await make(upper);
      const options = await runInSlices(this.#compileOptions(made), stop);
      return checked(await this.#session.compile(made.source, { ...options, signal: stop }), made);
    };
    return new BucketLease(upper, await this.#lru.acquire(`${index}`, compile, signal));
  }

  #ensureSync<Out extends string>(key: number, make: (upper: number) => Made<Out>): BucketLease<Out> | undefined {
    const index = this.bucketFor(key);
    if (index === undefined) return undefined;
    const upper = this.bucketUpper(index);
    const compile = () => {
      const made = make(upper);
      return checked(this.#session.compileSync(made.source, runAtOnce(this.#compileOptions(made))), made);
    };
    return new BucketLease(upper, this.#lru.acquireSync(`${index}`, compile));
  }

  *#compileOptions({ params }: Made<string>): Work<CompileOptions> {
    const bound = yield* this.#params.optionsFor(params);
    const types = (name: string) => (Object.hasOwn(params, name) ? params[name] : bound.weights?.get(name));
    return { ...bound, params: types, ...(this.#passes ? { passes: this.#passes } : {}) };
  }
}

/** The compiled graph, if it has every param that was given for it. */
function checked(compiled: CompiledGraph, { params }: Made<string>): CompiledGraph {
  const unknown = Object.keys(params).find((name) => !compiled.params.has(name));
  if (unknown === undefined) return compiled;
  compiled[Symbol.dispose]();
  throw new WeightNameError(`graph "${compiled.name}"`, unknown, `expected one of ${[...compiled.params.keys()].join(", ") || "none"}`);
}
