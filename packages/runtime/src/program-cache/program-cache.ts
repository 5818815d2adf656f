/**
 * Where compiled graphs are kept from one process to the next. Keys are 64 hex digits; values are bytes that are checked when they come
 * back, whatever they are. `directoryProgramCache` of @rlxjs/models-core/node keeps them as files.
 */
export interface ProgramCache {
  /** What was put under the key; undefined: nothing, or no longer. */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The same at once, for `compileSync`, which cannot use a cache without it. */
  getSync?(key: string): Uint8Array<ArrayBuffer> | undefined;
  /** Keep the bytes. `compile` waits for it, `compileSync` does not. */
  put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

export interface ProgramCacheStats {
  /** Graphs whose compiled form was in the cache. */
  readonly hits: number;
  /** Graphs that were compiled, and put into the cache. */
  readonly misses: number;
  /** Misses because what was in the cache could not be used, and failures of the cache itself. */
  readonly problems: number;
}
