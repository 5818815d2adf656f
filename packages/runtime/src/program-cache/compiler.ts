import { type Graph, RlxError, showType, type TensorType } from "@rlxjs/ir";
import type { Backend } from "../backend.ts";
import { paramsOf } from "../bind.ts";
import { leavesOf } from "../inputs.ts";
import { type CompiledPasses, compileWork, dispatchWork } from "../passes/compile.ts";
import { defaultPassOptions, type PassOptions } from "../passes/options.ts";
import { untilAborted, type Work } from "../task.ts";
import { decodeProgramFile, encodeProgramFile, ProgramFormatError, type StoredProgram } from "./codec.ts";
import { type ProgramKey, programKey } from "./key.ts";
import type { ProgramCache, ProgramCacheStats } from "./program-cache.ts";

/** Runs the graph compiler, or takes what it made of an equal graph from a cache. Whatever is wrong with the cache, the graph compiles. */
export class CachedCompiler {
  readonly #cache: ProgramCache | undefined;
  readonly #onProblem: (error: unknown) => void;
  #stats: ProgramCacheStats = { hits: 0, misses: 0, problems: 0 };

  constructor(cache: ProgramCache | undefined, onProblem: ((error: unknown) => void) | undefined) {
    this.#cache = cache;
    this.#onProblem = onProblem ?? (() => undefined);
  }

  get stats(): ProgramCacheStats {
    return this.#stats;
  }

  *compile(graph: Graph, { info, kernels }: Pick<Backend, "info" | "kernels">, passes: Partial<PassOptions> = {}): Work<CompiledPasses> {
    if (!this.#cache) return yield* compileWork(graph, kernels, passes);
    const key = yield* programKey(graph, info, passes);
    const found = yield* this.#find(this.#cache, graph, key);
    if (found === "unasked") return yield* compileWork(graph, kernels, passes);
    if (found) {
      this.#count("hits");
      const { graph: legal, decomposed, stats, misses } = found;
      return { graph: legal, report: yield* dispatchWork(legal, decomposed, kernels, { ...defaultPassOptions, ...passes }), stats, misses };
    }
    this.#count("misses");
    const compiled = yield* compileWork(graph, kernels, passes);
    yield* this.#put(this.#cache, key, yield* encodeProgramFile(compiled, key));
    return compiled;
  }

  /** What the cache has, if it can be used. */
  *#find(cache: ProgramCache, graph: Graph, key: ProgramKey): Work<StoredProgram | "unasked" | undefined> {
    let asked = true;
    let bytes: Uint8Array<ArrayBuffer> | undefined;
    yield {
      run: async (signal) => {
        bytes = await this.#answer(async () => cache.get(key.digest), signal);
      },
      runSync: () => {
        asked = cache.getSync !== undefined;
        try {
          bytes = cache.getSync?.(key.digest);
        } catch (error) {
          this.#problem(error);
        }
      },
    };
    if (!asked) return "unasked";
    if (!bytes) return undefined;
    try {
      const stored = yield* decodeProgramFile(bytes, key);
      const difference = interfaceDifference(graph, stored.graph);
      if (difference !== undefined) throw new ProgramFormatError(difference);
      return stored;
    } catch (error) {
      if (!(error instanceof RlxError)) throw error;
      return this.#problem(error);
    }
  }

  *#put(cache: ProgramCache, key: ProgramKey, bytes: Uint8Array<ArrayBuffer>): Work<void> {
    const put = async (): Promise<void> => cache.put(key.digest, bytes);
    yield { run: (signal) => this.#answer(put, signal), runSync: () => void this.#answer(put) };
  }

  /** What the cache answers; undefined when it fails, or when nobody waits any longer. */
  async #answer<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
    try {
      return await untilAborted(ask(), signal);
    } catch (error) {
      return signal?.aborted ? undefined : this.#problem(error);
    }
  }

  #problem(error: unknown): undefined {
    this.#count("problems");
    this.#onProblem(error);
  }
  #count(what: keyof ProgramCacheStats): void {
    this.#stats = { ...this.#stats, [what]: this.#stats[what] + 1 };
  }
}

/** Passes keep inputs, states, outputs and symbols; params may go, and none comes. Undefined: `legal` agrees with `graph`. */
function interfaceDifference(graph: Graph, legal: Graph): string | undefined {
  const shown = (types: Iterable<readonly [string, TensorType]>): string[] =>
    [...types].map(([name, type]) => `${name}: ${showType(type)}`).sort();
  const outputs = (g: Graph): string[] =>
    g.outputs.map(({ name, value }) => {
      const type = g.values[value];
      return `${name}: ${type ? showType(type) : "nothing"}`;
    });
  const symbols = (g: Graph): string[] => [...g.symbols].map(([name, { min, max }]) => `${name}: ${min} to ${max}`).sort();
  const known = new Set(shown(paramsOf(graph)));
  if (shown(paramsOf(legal)).some((p) => !known.has(p))) return "params that the graph does not have";
  const parts: [string, (g: Graph) => string[]][] = [
    ["inputs", (g) => shown(leavesOf(g, "input"))],
    ["states", (g) => shown(leavesOf(g, "state"))],
    ["outputs", outputs],
    ["extents", symbols],
  ];
  for (const [what, list] of parts) {
    const [expected, given] = [list(graph).join(", "), list(legal).join(", ")];
    if (expected !== given) return `${what}: expected ${expected || "none"}, got ${given || "none"}`;
  }
  return undefined;
}
