/** Options of the graph compiler; all of them are part of cache keys. */
export interface PassOptions {
  /** Merge and fuse nodes. Off: only exact simplification; used to compare fused with unfused results. Default true. */
  readonly fuse: boolean;
  /** Evaluate constant subgraphs whose operands and results together have at most this many bytes; 0: never. Default 65,536. */
  readonly maxFoldBytes: number;
  /** Most scalar steps in one elementwise region or epilogue. Default 64. */
  readonly maxRegionSteps: number;
  /** Most operands of one elementwise region or epilogue. Default 16. */
  readonly maxRegionInputs: number;
  /** Refuse graphs that need the TypeScript references. Default false. */
  readonly forbidReference: boolean;
  /** Leave what depends on weights alone to preparation (see weight-values.ts). False: it runs like the rest. Default true. */
  readonly hoistWeights: boolean;
  /** Verify the graph after every pass. Default false. */
  readonly verify: boolean;
}

export const defaultPassOptions: PassOptions = {
  fuse: true,
  maxFoldBytes: 65_536,
  maxRegionSteps: 64,
  maxRegionInputs: 16,
  forbidReference: false,
  hoistWeights: true,
  verify: false,
};
