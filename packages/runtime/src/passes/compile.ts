import type { Graph } from "@rlxjs/ir";
import type { Kernel } from "../backend.ts";
import { algebra } from "./algebra.ts";
import { canonicalise } from "./canonicalise.ts";
import { cse } from "./cse.ts";
import { dce } from "./dce.ts";
import { epilogues } from "./epilogues.ts";
import { fold } from "./fold.ts";
import { fuseRules } from "./fusion-rules.ts";
import { KernelSet } from "./kernels.ts";
import { type DispatchReport, legalise } from "./legalise.ts";
import { mergeShared } from "./merge-shared.ts";
import { defaultPassOptions, type PassOptions } from "./options.ts";
import { order } from "./order.ts";
import { type Miss, type Pass, type PassStats, runPasses } from "./pass.ts";
import { regions } from "./regions.ts";

export interface CompiledPasses {
  /** The graph to lower: every node is a leaf, a view, prepared from weights, taken by a kernel, or a reference step. */
  readonly graph: Graph;
  readonly report: DispatchReport;
  readonly stats: readonly PassStats[];
  /** Fusions that were nearly possible, with reasons. */
  readonly misses: readonly Miss[];
}

/** Exact: the results keep every bit. */
export const simplifyPasses: readonly Pass[] = [dce, fold, canonicalise, algebra, cse, dce];
/** Fewer, larger nodes that the backend has kernels for; results stay within the ops' error bounds. */
export const fusePasses: readonly Pass[] = [order, mergeShared, fuseRules, dce, epilogues, regions, dce];

/** Simplify, fuse and legalise a graph for a backend's kernels. Throws UnsupportedOpsError when `forbidReference` is broken. */
export function compileGraph(graph: Graph, kernels: readonly Kernel[], options: Partial<PassOptions> = {}): CompiledPasses {
  const full: PassOptions = { ...defaultPassOptions, ...options };
  const set = new KernelSet(kernels);
  const passes = full.fuse ? [...simplifyPasses, ...fusePasses] : simplifyPasses;
  const { graph: fused, stats, misses } = runPasses(graph, passes, set, full);
  const { graph: legal, report } = legalise(fused, set, full);
  return { graph: legal, report, stats, misses };
}
