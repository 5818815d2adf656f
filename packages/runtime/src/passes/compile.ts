import type { Graph } from "@rlxjs/ir";
import type { Kernel } from "../backend.ts";
import { runAtOnce, type Work } from "../task.ts";
import { algebraRules } from "./algebra.ts";
import { canonicalRules } from "./canonicalise.ts";
import { cse } from "./cse.ts";
import { decomposePass, type Decomposition } from "./decompose.ts";
import { dispatch, type DispatchReport } from "./dispatch.ts";
import { dce } from "./dce.ts";
import { epilogues } from "./epilogues.ts";
import { fold } from "./fold.ts";
import { fuseRules } from "./fusion-rules.ts";
import { KernelSet } from "./kernels.ts";
import { mergeShared } from "./merge-shared.ts";
import { defaultPassOptions, type PassOptions } from "./options.ts";
import { order } from "./order.ts";
import { type Miss, type Pass, type PassStats, runPasses } from "./pass.ts";
import { regions } from "./regions.ts";
import { rulePass } from "./rules.ts";

export interface CompileReports {
  readonly report: DispatchReport;
  readonly stats: readonly PassStats[];
  /** Fusions that were nearly possible, with reasons. */
  readonly misses: readonly Miss[];
}
export interface CompiledPasses extends CompileReports {
  /** The graph to lower: every node is a leaf, a view, prepared from weights, taken by a kernel, or a reference step. */
  readonly graph: Graph;
}

const rewrite = rulePass("rewrite", [...canonicalRules, ...algebraRules]);
/** Exact: the results keep every bit. */
export const simplifyPasses: readonly Pass[] = [dce, fold, rewrite, fold, cse, dce];
/** Fewer, larger nodes that the backend has kernels for; results stay within the ops' error bounds. */
const mergePasses: readonly Pass[] = [order, mergeShared, fuseRules, dce];
/** Elementwise work goes into routines and regions; after decomposition, so that the parts of decomposed ops do too. */
const elementwisePasses: readonly Pass[] = [epilogues, regions, dce];

/** Simplify, fuse and legalise a graph for a backend's kernels. Throws UnsupportedOpsError when `forbidReference` is broken. */
export const compileGraph = (graph: Graph, kernels: readonly Kernel[], options: Partial<PassOptions> = {}): CompiledPasses =>
  runAtOnce(compileWork(graph, kernels, options));

/** The same as work that may be interrupted. */
export function* compileWork(graph: Graph, kernels: readonly Kernel[], options: Partial<PassOptions> = {}): Work<CompiledPasses> {
  const full: PassOptions = { ...defaultPassOptions, ...options };
  const set = new KernelSet(kernels);
  const decomposed: Decomposition[] = [];
  const decompose = decomposePass(decomposed);
  const passes = full.fuse ? [...simplifyPasses, ...mergePasses, decompose, ...elementwisePasses] : [...simplifyPasses, decompose, dce];
  const { graph: legal, stats, misses } = yield* runPasses(graph, passes, set, full);
  return { graph: legal, report: yield* dispatch(legal, decomposed, set, full), stats, misses };
}

/** How the nodes of a graph that was compiled before are carried out. Throws UnsupportedOpsError like `compileWork`. */
export const dispatchWork = (
  legal: Graph,
  decomposed: readonly Decomposition[],
  kernels: readonly Kernel[],
  options: PassOptions,
): Work<DispatchReport> => dispatch(legal, decomposed, new KernelSet(kernels), options);
