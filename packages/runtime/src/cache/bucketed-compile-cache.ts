import type { Graph, HirModule } from "@rlxjs/ir";
import type { CompiledGraph } from "../compiled-graph.ts";
import { WeightNameError } from "../errors.ts";
import type { PassOptions } from "../passes/options.ts";
import type { Outputs } from "../run-options.ts";
import type { Session } from "../session.ts";
import type { StateSet } from "../state.ts";
import type { WeightStore } from "../weights.ts";
import { type BucketRange, checkBuckets, findBucket } from "./buckets.ts";
import type { CompileSource } from "./compile-cache.ts";
import { type CacheStats, CompiledLru } from "./compiled-lru.ts";
import { BucketError } from "./errors.ts";
import { BucketLease } from "./lease.ts";
import { type CacheRunInput, type PaddedInput, runRows } from "./padded.ts";
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
    return this.#ensure(key, async (upper) => ({ source: await build(upper), params: {} }), options);
  }

  /** The same with the graph's params, which go to the device when the bucket is compiled and never again. */
  ensureGraphWithParams<Out extends string>(
    key: number,
    build: BucketBuild<GraphWithParams<Out>>,
    options: BucketCallOptions = {},
  ): Promise<BucketLease<Out> | undefined> {
    const made = async (upper: number) => {
      const { graph, params } = await build(upper);
      return { source: graph, params };
    };
    return this.#ensure(key, made, options);
  }

  /** The same for a module: its weights have the types of the params. */
  ensureHirWithParams<Out extends string>(
    key: number,
    build: BucketBuild<HirWithParams<Out>>,
    options: BucketCallOptions = {},
  ): Promise<BucketLease<Out> | undefined> {
    const made = async (upper: number) => {
      const { hir, params } = await build(upper);
      return { source: hir, params };
    };
    return this.#ensure(key, made, options);
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
    const mixed = inputs.map(({ name, data, inner }) => ({ name, data, rowInner: inner }));
    return this.runPaddedMixed(key, actualRows, build, mixed, outputInners, options);
  }

  /**
   * Run the key's bucket on `actualRows` rows. Inputs with `rowInner` are that many rows; the others are passed as they are.
   *
   * A graph of fixed extents (`[upper, ...]`) gets its rows padded with zeros to `upper` and computes all of them; its outputs are
   * cut back. A graph whose extent is a symbol with the upper bound `upper` needs no padding: the extent is `actualRows`, only those rows
   * are computed, and outputs that have the extent are dense at it, an output with `outputInners` 0 too. Both give the same rows
   * as long as rows do not mix; where they do (attention, means), padding takes part and the symbolic form is the right one.
   *
   * RowsError for inputs or outputs that are not whole rows, or too many, before anything runs; BusyError while the bucket runs.
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
    return lease && (await runRows(lease.compiled, { upper: lease.upper, actualRows, inputs, outputInners, ...options }));
  }

  /** Free every bucket: now, or when its last lease ends. */
  [Symbol.dispose](): void {
    this.#lru[Symbol.dispose]();
    this.#params[Symbol.dispose]();
  }

  async #ensure<Out extends string>(
    key: number,
    build: (upper: number) => Promise<{ readonly source: CompileSource<Out>; readonly params: ParamTensors }>,
    { signal }: BucketCallOptions,
  ): Promise<BucketLease<Out> | undefined> {
    const index = this.bucketFor(key);
    if (index === undefined) return undefined;
    const upper = this.bucketUpper(index);
    const compile = async (stop: AbortSignal) => {
      const { source, params } = await build(upper);
      const bound = await this.#params.optionsFor(params, stop);
      const { weights } = bound;
      const types = (name: string) => (Object.hasOwn(params, name) ? params[name] : weights?.get(name));
      const compiled = await this.#session.compile(source, { ...bound, params: types, ...this.#passOptions(), signal: stop });
      const unknown = Object.keys(params).find((name) => !compiled.params.has(name));
      if (unknown === undefined) return compiled;
      compiled[Symbol.dispose]();
      throw new WeightNameError(`graph "${compiled.name}"`, unknown, `expected one of ${[...compiled.params.keys()].join(", ") || "none"}`);
    };
    const [compiled, release] = await this.#lru.acquire(`${index}`, compile, signal);
    return new BucketLease(upper, compiled as CompiledGraph<Out>, release);
  }

  #passOptions(): { readonly passes?: Partial<PassOptions> } {
    return this.#passes ? { passes: this.#passes } : {};
  }
}
