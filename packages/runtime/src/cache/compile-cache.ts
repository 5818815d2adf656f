import { type Graph, type HirModule, lowerHir, lowerHirWork } from "@rlxjs/ir";
import type { CompileOptions, Session } from "../session.ts";
import { runInSlices } from "../task.ts";
import { type CacheStats, CompiledLru } from "./compiled-lru.ts";
import { type CompileKey, compileKey, compileKeyWork, keyText } from "./key.ts";
import { CompiledLease } from "./lease.ts";

/** What a session compiles. */
export type CompileSource<Out extends string = string> = Graph<Out> | HirModule<Out>;
/** Without `overrides`, which would make graphs with the same key differ. */
export type CachedCompileOptions = Omit<CompileOptions, "overrides">;

export type SyncCompileOptions = Omit<CachedCompileOptions, "signal">;

export interface CompileCacheOptions {
  /** Most `residentBytes` of all graphs together; default 1 GiB. Graphs in use and the one used last stay beyond that. */
  readonly maxBytes?: number;
}

/**
 * Compiled graphs of one session, by what they depend on: canonical hash, device, kernel library, pass options, WeightStore. When they
 * take more than `maxBytes`, the least recently used are freed. Weights and packed forms in a WeightStore are not counted: they
 * stay in the store. A graph's own states end with it: keep those that matter in a StateSet.
 */
export class CompileCache implements Disposable {
  readonly #session: Session;
  readonly #lru: CompiledLru;

  constructor(session: Session, options: CompileCacheOptions = {}) {
    this.#session = session;
    this.#lru = new CompiledLru("CompileCache", options.maxBytes);
  }

  /**
   * The compiled form of a graph, compiled when no equal graph was. The graph is hashed (an HIR module lowered first) to find its key:
   * a loop keeps the lease, or asks by recipe.
   */
  async compile<Out extends string>(source: CompileSource<Out>, options: CachedCompileOptions = {}): Promise<CompiledLease<Out>> {
    const { weights, params = (name: string) => weights?.get(name), signal } = options;
    const graph = "symbols" in source ? source : await runInSlices(lowerHirWork(source, params), signal);
    const key = await runInSlices(compileKeyWork(graph, this.#session.info, options), signal);
    return this.#acquire(key, () => graph, options);
  }

  /**
   * The compiled form of what `build` gives, which is called once per miss. `recipe` stands for it: two builds that may differ in
   * anything need two recipes, such as `decode batch=1 capacity=512`. Requests during a compile share it; a failed one is not kept.
   */
  getOrCompile<Out extends string>(
    recipe: string,
    build: () => CompileSource<Out> | Promise<CompileSource<Out>>,
    options: CachedCompileOptions = {},
  ): Promise<CompiledLease<Out>> {
    return this.#acquire(compileKey(recipe, this.#session.info, options), build, options);
  }

  /** The same as `compile`, at once. BusyError while an equal graph is being compiled for somebody who waits. */
  compileSync<Out extends string>(source: CompileSource<Out>, options: SyncCompileOptions = {}): CompiledLease<Out> {
    const { weights, params = (name: string) => weights?.get(name) } = options;
    const graph = "symbols" in source ? source : lowerHir(source, params);
    return this.getOrCompileSync<Out>(graph, () => graph, options);
  }

  /** The same as `getOrCompile`, at once. BusyError while the recipe is being compiled for somebody who waits. */
  getOrCompileSync<Out extends string>(
    recipe: Graph | string,
    build: () => CompileSource<Out>,
    options: SyncCompileOptions = {},
  ): CompiledLease<Out> {
    const key = keyText(compileKey(recipe, this.#session.info, options));
    return new CompiledLease<Out>(this.#lru.acquireSync(key, () => this.#session.compileSync(build(), options)));
  }

  /** Whether the graph or recipe is compiled, or being compiled. */
  has(graph: Graph | string, options: Pick<CompileOptions, "weights" | "passes"> = {}): boolean {
    return this.#lru.has(keyText(compileKey(graph, this.#session.info, options)));
  }

  stats(): CacheStats {
    return this.#lru.stats();
  }

  /** Free every graph: now, or when its last lease ends. */
  [Symbol.dispose](): void {
    this.#lru[Symbol.dispose]();
  }

  async #acquire<Out extends string>(
    key: CompileKey,
    build: () => CompileSource<Out> | Promise<CompileSource<Out>>,
    { signal, ...options }: CachedCompileOptions,
  ): Promise<CompiledLease<Out>> {
    const compile = async (stop: AbortSignal) => this.#session.compile(await build(), { ...options, signal: stop });
    return new CompiledLease(await this.#lru.acquire(keyText(key), compile, signal));
  }
}
