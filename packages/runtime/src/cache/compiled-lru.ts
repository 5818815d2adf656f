import type { CompiledGraph } from "../compiled-graph.ts";
import { BusyError, UseAfterDisposeError } from "../errors.ts";
import { trackLeak, untrackLeak } from "../leaks.ts";
import { CacheError } from "./errors.ts";
import { untilAborted } from "../task.ts";
import { Turns } from "./turns.ts";

export interface CacheStats {
  /** Requests that an entry answered, finished or being compiled. */
  readonly hits: number;
  /** Requests that began a compile. */
  readonly misses: number;
  /** Entries that were freed to make room. */
  readonly evictions: number;
  /** Graphs that are compiled now. */
  readonly entries: number;
  /** Sum of their `residentBytes`. */
  readonly bytes: number;
}

interface Entry {
  readonly key: string;
  readonly compiling: AbortController;
  readonly ready: Promise<CompiledGraph>;
  /** Who shares the graph runs it by turns. */
  readonly turns: Turns;
  compiled: CompiledGraph | undefined;
  /** Leases, and requests that wait for the compile. */
  users: number;
}

/** A compiled graph that others may use too. */
export interface Acquired {
  readonly compiled: CompiledGraph;
  readonly turns: Turns;
  /** End the use, once. */
  readonly release: () => void;
}
const DEFAULT_CACHE_BYTES = 2 ** 30;

/**
 * Compiled graphs by key, the least recently used freed first. What is in use stays, and so does the entry that was used last: a
 * loop over one graph larger than the whole cache compiles it once.
 */
export class CompiledLru implements Disposable {
  readonly #name: string;
  readonly #maxBytes: number;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #counts = { hits: 0, misses: 0, evictions: 0 };
  #disposed = false;

  constructor(name: string, maxBytes: number = DEFAULT_CACHE_BYTES) {
    if (!(maxBytes >= 0)) throw new CacheError(`${name}: maxBytes: expected a number >= 0, got ${maxBytes}`);
    this.#name = name;
    this.#maxBytes = maxBytes;
    const entries = this.#entries;
    // A forgotten cache frees what nobody uses; leases hold on to the rest.
    trackLeak(this, `a ${name}`, () => freeAll(entries, name));
  }

  stats(): CacheStats {
    const ready = [...this.#entries.values()].flatMap(({ compiled }) => (compiled ? [compiled] : []));
    return { ...this.#counts, entries: ready.length, bytes: ready.reduce((sum, c) => sum + c.residentBytes, 0) };
  }

  /** Whether a request for the key would be a hit. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** The graph of a key. Requests that come while it is being compiled share that compile; it stops when all of them are aborted. */
  async acquire(key: string, compile: (signal: AbortSignal) => Promise<CompiledGraph>, signal?: AbortSignal): Promise<Acquired> {
    signal?.throwIfAborted();
    const known = this.#find(key);
    this.#counts[known ? "hits" : "misses"]++;
    const entry = known ?? this.#start(key, compile);
    this.#use(entry);
    try {
      return this.#acquired(entry, await untilAborted(entry.ready, signal));
    } catch (error) {
      this.#release(entry);
      throw error;
    }
  }

  /** The same at once. BusyError while a request that waits compiles the key. */
  acquireSync(key: string, compile: () => CompiledGraph): Acquired {
    const known = this.#find(key);
    if (known && !known.compiled) throw new BusyError(`a ${this.#name}, which is compiling the entry,`);
    this.#counts[known ? "hits" : "misses"]++;
    const compiled = known?.compiled ?? compile();
    if (this.#disposed) {
      // By what was compiled: nobody would free the entry.
      compiled[Symbol.dispose]();
      throw new UseAfterDisposeError(`a ${this.#name}`);
    }
    const ready = Promise.resolve(compiled);
    const entry = known ?? { key, compiling: new AbortController(), ready, turns: new Turns(), compiled, users: 0 };
    this.#use(entry);
    return this.#acquired(entry, compiled);
  }

  /** Free what nobody uses now, and the rest when its users are done. Compiles in flight are stopped. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    untrackLeak(this);
    freeAll(this.#entries, this.#name);
  }

  #find(key: string): Entry | undefined {
    if (this.#disposed) throw new UseAfterDisposeError(`a ${this.#name}`);
    return this.#entries.get(key);
  }

  /** One more user of an entry, which is now the one that was used last. */
  #use(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#entries.set(entry.key, entry);
    entry.users++;
    this.#trim(); // What was used last until now may have to go.
  }

  #acquired(entry: Entry, compiled: CompiledGraph): Acquired {
    return { compiled, turns: entry.turns, release: () => this.#release(entry) };
  }

  #start(key: string, compile: (signal: AbortSignal) => Promise<CompiledGraph>): Entry {
    const compiling = new AbortController();
    const ready = Promise.resolve().then(() => this.#compile(entry, compile));
    const entry: Entry = { key, compiling, ready, turns: new Turns(), compiled: undefined, users: 0 };
    return entry;
  }

  async #compile(entry: Entry, compile: (signal: AbortSignal) => Promise<CompiledGraph>): Promise<CompiledGraph> {
    const { signal } = entry.compiling;
    try {
      signal.throwIfAborted();
      const compiled = await compile(signal);
      if (signal.aborted) {
        compiled[Symbol.dispose]();
        throw signal.reason;
      }
      entry.compiled = compiled;
      this.#trim();
      return compiled;
    } catch (error) {
      this.#forget(entry);
      throw error;
    }
  }

  #release(entry: Entry): void {
    entry.users--;
    if (entry.users === 0 && !entry.compiled) {
      this.#forget(entry);
      entry.compiling.abort();
    } else if (entry.users === 0 && this.#entries.get(entry.key) !== entry) entry.compiled?.[Symbol.dispose]();
    else this.#trim();
  }

  /** The entry answers no more requests. Its key may have a new one already. */
  #forget(entry: Entry): void {
    if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
  }

  #trim(): void {
    let { bytes } = this.stats();
    const last = [...this.#entries.keys()].at(-1);
    for (const [key, { compiled, users }] of this.#entries) {
      if (bytes <= this.#maxBytes) return;
      if (!compiled || users > 0 || key === last) continue;
      bytes -= compiled.residentBytes;
      compiled[Symbol.dispose]();
      this.#entries.delete(key);
      this.#counts.evictions++;
    }
  }
}

function freeAll(entries: Map<string, Entry>, name: string): void {
  for (const { compiled, compiling, users } of entries.values()) {
    if (!compiled) compiling.abort(new UseAfterDisposeError(`a ${name}`));
    else if (users === 0) compiled[Symbol.dispose]();
  }
  entries.clear();
}
