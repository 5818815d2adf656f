import { type HirModule, RlxError } from "@rlxjs/ir";
import {
  type CompiledGraph,
  type CompiledStats,
  type Outputs,
  type RunOptions,
  type Session,
  type StateSet,
  sumGpuCounts,
  untilAborted,
  type WeightStore,
} from "@rlxjs/runtime";

export interface GraphStats extends CompiledStats {
  /** Graphs that have been compiled so far. */
  readonly graphs: number;
}

/** The compiled graphs of one model: compiled when first used, one run at a time, weights shared. */
export class GraphSet<Kind extends string> implements Disposable {
  readonly #session: Session;
  readonly #weights: WeightStore;
  readonly #build: (kind: Kind) => HirModule;
  readonly #graphs = new Map<Kind, Promise<CompiledGraph>>();
  readonly #compiled: CompiledGraph[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #disposed = false;

  constructor(session: Session, weights: WeightStore, build: (kind: Kind) => HirModule) {
    this.#session = session;
    this.#weights = weights;
    this.#build = build;
  }

  /** The graph of this kind, compiled at most once. `signal` stops the compilation that this call starts, for all who wait for it. */
  async get(kind: Kind, signal?: AbortSignal): Promise<CompiledGraph> {
    if (this.#disposed) throw new RlxError("ERR_DISPOSED", "the model is disposed");
    const known = this.#graphs.get(kind);
    if (known) return known;
    const made = this.#session.compile(this.#build(kind), { weights: this.#weights, ...(signal ? { signal } : {}) });
    this.#graphs.set(kind, made);
    made.then(
      (graph) => this.#compiled.push(graph),
      () => this.#graphs.delete(kind), // the next use tries again
    );
    return made;
  }

  /**
   * Run a graph after the runs that were asked for before; sequences of one model take turns token by token. Aborted while it waits for
   * its turn, it rejects at once and never runs.
   */
  async run(kind: Kind, options: RunOptions): Promise<Outputs> {
    const graph = await this.get(kind);
    const turn = this.#last;
    const run = turn.then(() => graph.run(options));
    this.#last = run.catch(() => undefined);
    await untilAborted(turn, options.signal);
    return run;
  }

  /** Memory for the states of this kind's graph. */
  async createState(kind: Kind): Promise<StateSet> {
    return this.#session.createState(await this.get(kind));
  }

  stats(): GraphStats {
    const all = this.#compiled.map((graph) => graph.stats());
    const total = (key: Exclude<keyof CompiledStats, "gpu">): number => all.reduce((sum, stats) => sum + stats[key], 0);
    const gpu = sumGpuCounts(all.map((stats) => stats.gpu));
    return {
      graphs: all.length,
      compiles: total("compiles"),
      runs: total("runs"),
      nativeCalls: total("nativeCalls"),
      hostSteps: total("hostSteps"),
      stateCopies: total("stateCopies"),
      arenaBytes: total("arenaBytes"),
      deviceCopyBytes: total("deviceCopyBytes"),
      toHostBytes: total("toHostBytes"),
      toDeviceBytes: total("toDeviceBytes"),
      ...(gpu ? { gpu } : {}),
    };
  }

  /** Graphs that are compiling or running are freed when they have ended. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const made of this.#graphs.values())
      made.then(
        (graph) => graph[Symbol.dispose](),
        () => undefined,
      );
    this.#graphs.clear();
  }
}
