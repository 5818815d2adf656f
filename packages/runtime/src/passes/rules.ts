import { type AnyOpDef, type Builder, type Graph, type Node, shapeEquals, type TensorType, type Value, type ValueId } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { PassError } from "./errors.ts";
import type { GraphView } from "./graph-view.ts";
import type { Pass, PassContext } from "./pass.ts";
import { type Match, matchPattern, type OpPattern, rootMatches } from "./pattern.ts";
import { type Rewriter, rewriteGraph } from "./rewriter.ts";

/** A pattern and what stands for it: a value that the rule captured, or new nodes over such values. */
export interface RewriteRule {
  readonly name: string;
  readonly pattern: OpPattern;
  /** The new value; undefined when a condition does not hold. Nothing may be added to the graph in that case. */
  readonly build: (use: Match, context: RuleContext) => Value | undefined;
}
export interface RuleContext {
  readonly g: Builder;
  readonly view: GraphView;
  /** The new value for an old one. */
  readonly value: Rewriter["value"];
}

/** Write a rule; `build` takes the captured values by name. */
export function rule<const N extends string>(
  name: string,
  pattern: OpPattern<N>,
  build: (v: Readonly<Record<N, Value>>, context: RuleContext, match: Match<N>) => Value | undefined,
): RewriteRule {
  return {
    name,
    pattern,
    build: (match, context) => {
      const values = Object.fromEntries(Object.entries(match.values).map(([n, old]) => [n, context.value(old)])) as Record<N, Value>;
      return build(values, context, match as Match<N>);
    },
  };
}

/** A pass that applies rules until none of them matches. */
export const rulePass = (name: string, rules: readonly RewriteRule[]): Pass => ({
  name,
  run: (graph, context) => applyRules(name, graph, rules, context),
});

const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && shapeEquals(a.shape, b.shape);

function* applyRules(pass: string, graph: Graph, rules: readonly RewriteRule[], context: PassContext): Work<Graph> {
  const candidates = indexRules(rules);
  // Every rule makes the graph smaller or moves it towards one form; a list that does not runs out of fuel.
  let fuel = 1000 + 4 * graph.nodes.length;
  for (let current = graph; ; ) {
    const view = context.view(current);
    if (!current.nodes.some((n) => candidates(view.def(n)).some((r) => matchPattern(view, r.pattern, n)))) return current;
    const used = new Map<string, number>();
    const next = yield* rewriteGraph(view, (node, rewriter) => {
      const replaced = candidates(view.def(node)).find((r) => replace(r, node, rewriter));
      if (replaced) used.set(replaced.name, (used.get(replaced.name) ?? 0) + 1);
      return replaced !== undefined;
    });
    if (used.size === 0) return current;
    for (const [name, n] of used) {
      fuel -= n;
      for (let i = 0; i < n; i++) context.applied(name);
    }
    if (fuel < 0) throw new PassError(pass, `no fixpoint on graph "${graph.name}"; still applying: ${[...used.keys()].join(", ")}`);
    current = next;
  }
}

function replace(rule: RewriteRule, node: Node, rewriter: Rewriter): boolean {
  const { view, builder } = rewriter;
  const match = matchPattern(view, rule.pattern, node);
  const [out] = node.outputs;
  if (!match || match.shared || out === undefined || node.outputs.length !== 1 || !statesLast(rewriter, match, out)) return false;
  builder.origin = node.origin;
  const value = rule.build(match, { g: builder, view, value: (old) => rewriter.value(old) });
  // A constant operand may have broadcast the other one: then the rule does not hold.
  if (!value || !sameType(value.type, view.type(out))) return false;
  rewriter.bind(out, value);
  return true;
}

/**
 * Whether the captured values may be read where the root is and where its result is: views that a rule drops may have kept a state
 * version from being read after it is overwritten.
 */
function statesLast(rewriter: Rewriter, { root, values }: Match, out: ValueId): boolean {
  const { view } = rewriter;
  const writers = Object.values(values).flatMap((v) => rewriter.writerOf(v) ?? []);
  if (writers.length === 0) return true;
  const last = view.isOutput(out) ? Number.POSITIVE_INFINITY : Math.max(root.id, ...view.users(out).map((user) => user.id));
  return writers.every((writer) => writer > last);
}

/** Rules by the op at their root. */
export function indexRules<R extends { readonly pattern: OpPattern }>(rules: readonly R[]): (def: AnyOpDef) => readonly R[] {
  const byOp = new Map<AnyOpDef, readonly R[]>();
  return (def) => {
    const known = byOp.get(def);
    if (known) return known;
    const matching = rules.filter((r) => rootMatches(r.pattern, def));
    byOp.set(def, matching);
    return matching;
  };
}
