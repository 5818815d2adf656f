import type { CompiledGraph } from "../compiled-graph.ts";
import { UseAfterDisposeError } from "../errors.ts";
import { trackLeak, untrackLeak } from "../leaks.ts";
import type { Outputs, RunOptions } from "../run-options.ts";
import type { Acquired } from "./compiled-lru.ts";
import type { Turns } from "./turns.ts";

/**
 * The use of a compiled graph that a cache owns: it is not freed before the lease ends. Dispose the lease, not the graph. Users share the
 * graph: `run` waits for its turn, while `compiled.run` is refused when somebody runs it (BusyError). Params and handles that are set on
 * the graph stay set for the next user.
 */
export class CompiledLease<Out extends string = string> implements Disposable {
  readonly #compiled: CompiledGraph<Out>;
  readonly #turns: Turns;
  #release: (() => void) | undefined;

  /** For caches. */
  constructor({ compiled, turns, release }: Acquired) {
    // The names of the outputs are part of what the key stands for.
    this.#compiled = compiled as CompiledGraph<Out>;
    this.#turns = turns;
    this.#release = release;
    trackLeak(this, `a lease of CompiledGraph "${compiled.name}"`, release);
  }

  /** UseAfterDisposeError once the lease has ended. */
  get compiled(): CompiledGraph<Out> {
    if (!this.#release) throw new UseAfterDisposeError(`a lease of CompiledGraph "${this.#compiled.name}"`);
    return this.#compiled;
  }

  /**
   * Run the graph after the runs that other users asked for before. Aborted while it waits, it rejects at once and never runs; nor does it when
   * the lease has ended by its turn.
   */
  async run(options: RunOptions<Out> = {}): Promise<Outputs<Out>> {
    return await this.#turns.take(() => this.compiled.run(options), options.signal);
  }

  [Symbol.dispose](): void {
    const release = this.#release;
    this.#release = undefined;
    untrackLeak(this);
    release?.();
  }
}

/** The use of a bucket's graph. */
export class BucketLease<Out extends string = string> extends CompiledLease<Out> {
  /** What the graph was built for: the largest key of the bucket. */
  readonly upper: number;

  /** For caches. */
  constructor(upper: number, acquired: Acquired) {
    super(acquired);
    this.upper = upper;
  }
}
