import type { CompiledGraph, RunOptions } from "@rlxjs/runtime";
import type { CheckedCall } from "./decode-call.ts";
import type { KvCacheState } from "./kv-state.ts";
import type { KvRows } from "./row-buffer.ts";

/** The use of a compiled graph: a lease of a cache. */
export interface HeldGraph extends Disposable {
  readonly compiled: CompiledGraph;
}

export interface HostLayers {
  readonly layersK: KvRows[];
  readonly layersV: KvRows[];
}

/** Device memory that holds the rows of one cache for the runs of one compiled graph. */
export interface KvPlace extends Disposable {
  readonly kv: KvCacheState;
  readonly compiled: CompiledGraph;
  /** False once it is disposed: the rows are gone. */
  readonly live: boolean;
  /** All rows come from the host. */
  upload(): void;
  /** All rows come from another place of the same cache, on the device. */
  takeFrom(place: KvPlace): void;
  /** Rows behind the cache's length are not part of the next run. */
  truncate(): void;
  /** What a run needs to read the rows and to append new ones. */
  runOptions(call: CheckedCall): Pick<RunOptions, "state" | "feeds">;
  /** Rows of the positions from `from` to the end, for the host. */
  download(from: number): HostLayers;
}
