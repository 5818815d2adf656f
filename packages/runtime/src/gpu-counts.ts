/** What runs asked of a GPU, summed over them. */
export interface GpuCounts {
  readonly commandBuffers: number;
  /** How often the GPU was waited for. */
  readonly waits: number;
  /** Kernels that were launched. */
  readonly launches: number;
  /** Launches that waited for earlier ones of the same command buffer. */
  readonly barriers: number;
  /** Inputs and outputs that went through memory of the backend's own, because the GPU cannot use what the caller gave. */
  readonly copiedBytes: number;
  /** Time that the GPU worked, in microseconds. */
  readonly gpuMicros: number;
}

const none: GpuCounts = { commandBuffers: 0, waits: 0, launches: 0, barriers: 0, copiedBytes: 0, gpuMicros: 0 };

/** The sum of what there is; undefined: no GPU has counted. */
export function sumGpuCounts(all: Iterable<GpuCounts | undefined>): GpuCounts | undefined {
  let sum: GpuCounts | undefined;
  for (const counts of all) if (counts) sum = combine(sum ?? none, counts, (a, b) => a + b);
  return sum;
}

/** What was counted since `before`. */
export const gpuCountsSince = (now: GpuCounts, before: GpuCounts = none): GpuCounts => combine(now, before, (a, b) => a - b);

const combine = (a: GpuCounts, b: GpuCounts, f: (a: number, b: number) => number): GpuCounts => ({
  commandBuffers: f(a.commandBuffers, b.commandBuffers),
  waits: f(a.waits, b.waits),
  launches: f(a.launches, b.launches),
  barriers: f(a.barriers, b.barriers),
  copiedBytes: f(a.copiedBytes, b.copiedBytes),
  gpuMicros: f(a.gpuMicros, b.gpuMicros),
});
