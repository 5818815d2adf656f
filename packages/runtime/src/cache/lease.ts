import type { CompiledGraph } from "../compiled-graph.ts";
import { UseAfterDisposeError } from "../errors.ts";
import { trackLeak, untrackLeak } from "../leaks.ts";

/**
 * The use of a compiled graph that a cache owns: it is not freed before the lease ends. Dispose the lease, not the graph. Users share
 * the graph: it runs once at a time (BusyError), and params set on it stay set for the next user.
 */
export class CompiledLease<Out extends string = string> implements Disposable {
  readonly #compiled: CompiledGraph<Out>;
  #release: (() => void) | undefined;

  /** For caches. */
  constructor(compiled: CompiledGraph<Out>, release: () => void) {
    this.#compiled = compiled;
    this.#release = release;
    trackLeak(this, `a lease of CompiledGraph "${compiled.name}"`, release);
  }

  /** UseAfterDisposeError once the lease has ended. */
  get compiled(): CompiledGraph<Out> {
    if (!this.#release) throw new UseAfterDisposeError(`a lease of CompiledGraph "${this.#compiled.name}"`);
    return this.#compiled;
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
  constructor(upper: number, compiled: CompiledGraph<Out>, release: () => void) {
    super(compiled, release);
    this.upper = upper;
  }
}
