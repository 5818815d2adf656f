import type { AnyOpDef, AttrRecord, Graph, Node, ValueId } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import type { GraphView } from "./graph-view.ts";
import type { MissReason, Pass, PassContext } from "./pass.ts";
import { type Match, matchPattern, type OpPattern } from "./pattern.ts";
import { rewriteGraph } from "./rewriter.ts";
import { indexRules } from "./rules.ts";

/** One node that does the work of several. */
export interface FusedNode {
  readonly def: AnyOpDef;
  readonly inputs: readonly ValueId[];
  readonly attrs: AttrRecord;
  /** The old values that its outputs stand for. */
  readonly results: readonly ValueId[];
}
export interface Refusal {
  readonly reason: MissReason;
  readonly detail: string;
}

/** A pattern and the node that stands for it, if the backend has a kernel for that node. */
export interface FusionRule {
  readonly name: string;
  readonly pattern: OpPattern;
  readonly fuse: (match: Match, view: GraphView) => FusedNode | Refusal | undefined;
}

export const fusionRule = <const N extends string>(
  name: string,
  pattern: OpPattern<N>,
  fuse: (match: Match<N>, view: GraphView) => FusedNode | Refusal | undefined,
): FusionRule => ({ name, pattern, fuse: (match, view) => fuse(match as Match<N>, view) });

/** A pass that applies fusion rules until none matches; what it leaves unfused, it reports. */
export const fusionPass = (name: string, rules: readonly FusionRule[]): Pass => ({
  name,
  *run(graph: Graph, context: PassContext): Work<Graph> {
    const candidates = indexRules(rules);
    let misses: (() => void)[] = [];
    // Every fusion removes a node, so this ends.
    for (let current = graph; ; ) {
      const view = context.view(current);
      const fused = new Map<Node, FusedNode>();
      const claimed = new Set<ValueId>();
      misses = [];
      for (const root of current.nodes) {
        yield;
        if (view.isPrepared(root)) continue;
        for (const rule of candidates(view.def(root))) {
          const match = matchPattern(view, rule.pattern, root);
          if (!match) continue;
          const result = checked(rule.fuse(match, view), match, view, context);
          if (!result) continue;
          if ("reason" in result) misses.push(() => context.missed(rule.name, root, result.reason, result.detail));
          else if (!result.results.some((v) => claimed.has(v))) {
            for (const v of result.results) claimed.add(v);
            fused.set(root, result);
            context.applied(rule.name);
            break;
          }
        }
      }
      if (fused.size === 0) {
        for (const report of misses) report();
        return current;
      }
      current = yield* rewriteGraph(view, (node, rewriter) => {
        const plan = fused.get(node);
        if (!plan) return false;
        const values = rewriter.emit(plan.def, rewriter.values(plan.inputs), plan.attrs, node);
        for (const [i, old] of plan.results.entries()) {
          const value = values[i];
          if (value) rewriter.bind(old, value);
        }
        return true;
      });
    }
  },
});

/** The fused node runs where the root was: its operands must still be there, and nobody may need its other results earlier. */
function checked(
  plan: FusedNode | Refusal | undefined,
  { root, shared }: Match,
  view: GraphView,
  { kernels }: PassContext,
): FusedNode | Refusal | undefined {
  if (!plan || "reason" in plan) return plan;
  if (shared) return { reason: "multi-consumer", detail: `the result of node ${shared.id} (${shared.op}) has other readers` };
  const early = plan.results.flatMap((v) => view.users(v)).find((user) => user.id < root.id);
  if (early) return { reason: "order", detail: `node ${early.id} (${early.op}) needs a result earlier` };
  if (plan.inputs.some((v) => v >= 0 && view.overwrittenBefore(v, root.id)))
    return { reason: "order", detail: "an operand is a state that is written in between" };
  const answer = kernels.probe(plan.def, view.operands(plan.inputs), plan.attrs);
  return typeof answer === "string" ? { reason: "backend", detail: answer } : plan;
}
