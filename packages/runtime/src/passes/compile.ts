import type { Graph } from "@rlxjs/ir";
import type { Kernel } from "../backend.ts";
import { dce } from "./dce.ts";
import { KernelSet } from "./kernels.ts";
import { type DispatchReport, legalise } from "./legalise.ts";
import { defaultPassOptions, type PassOptions } from "./options.ts";
import { type Miss, type Pass, type PassStats, runPasses } from "./pass.ts";

export interface CompiledPasses {
  /** The graph to lower: every node is a leaf, a view, prepared from weights, taken by a kernel, or a reference step. */
  readonly graph: Graph;
  readonly report: DispatchReport;
  readonly stats: readonly PassStats[];
  /** Fusions that were nearly possible, with reasons. */
  readonly misses: readonly Miss[];
}

const passes: readonly Pass[] = [dce];

/** Simplify, fuse and legalise a graph for a backend's kernels. Throws UnsupportedOpsError when `forbidReference` is broken. */
export function compileGraph(graph: Graph, kernels: readonly Kernel[], options: Partial<PassOptions> = {}): CompiledPasses {
  const full: PassOptions = { ...defaultPassOptions, ...options };
  const set = new KernelSet(kernels);
  const { graph: fused, stats, misses } = runPasses(graph, passes, set, full);
  const { graph: legal, report } = legalise(fused, set, full);
  return { graph: legal, report, stats, misses };
}
