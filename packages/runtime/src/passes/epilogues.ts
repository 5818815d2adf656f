import { type AttrRecord, computeClass, type Graph, NONE, type Node, ops, shapeEquals, type ValueId } from "@rlxjs/ir";
import type { Work } from "../task.ts";
import { staysInRegister } from "./body.ts";
import type { GraphView } from "./graph-view.ts";
import { bodyOf, composeMembers } from "./members.ts";
import type { Pass, PassContext } from "./pass.ts";
import { rewriteGraph } from "./rewriter.ts";

const pattern = "epilogue";

interface Plan {
  readonly routine: Node;
  readonly inputs: readonly ValueId[];
  readonly attrs: AttrRecord;
}

/**
 * A routine with the `epilogue` trait takes in the elementwise nodes behind it, while each is the only reader of the one before and
 * keeps the routine's shape; their other operands are broadcast to it. The longest chain that the backend takes wins. Runs where
 * the last of them was, so nothing that they read may be overwritten by then.
 */
export const epilogues: Pass = {
  name: "epilogues",
  *run(graph: Graph, context: PassContext): Work<Graph> {
    if (!context.kernels.has("with_epilogue")) return graph;
    const view = context.view(graph);
    const taken = new Set<Node>();
    const plans = new Map<Node, Plan>();
    // Backwards: of two routines that could take the same tail (a * b), the later one does.
    for (const routine of [...graph.nodes].reverse()) {
      yield;
      const { traits } = view.def(routine);
      if (!traits.epilogue || traits.writes !== undefined || routine.outputs.length !== 1 || view.isPrepared(routine)) continue;
      const tail = chain(view, routine, taken, context);
      let refusal: string | undefined;
      for (let length = tail.length; length > 0; length--) {
        const members = tail.slice(0, length);
        const plan = planOf(view, routine, members, context);
        const answer = typeof plan === "string" ? plan : context.kernels.probe(ops.withEpilogue, view.operands(plan.inputs), plan.attrs);
        if (typeof plan !== "string" && typeof answer !== "string") {
          for (const node of [routine, ...members]) taken.add(node);
          plans.set(members.at(-1) ?? routine, plan);
          context.applied(pattern);
          break;
        }
        refusal ??= typeof answer === "string" ? answer : undefined;
      }
      if (refusal !== undefined) context.missed(pattern, routine, "backend", refusal);
    }
    if (plans.size === 0) return graph;
    return yield* rewriteGraph(view, (node, rewriter) => {
      const plan = plans.get(node);
      if (!plan) return taken.has(node);
      const from = plan.routine.label === undefined ? node : plan.routine;
      const [value] = rewriter.emit(ops.withEpilogue, rewriter.values(plan.inputs), plan.attrs, from);
      if (value) rewriter.bind(node.outputs[0] ?? NONE, value);
      return true;
    });
  },
};

/** The elementwise nodes behind a routine that could join it. */
function chain(view: GraphView, routine: Node, taken: ReadonlySet<Node>, { missed, options }: PassContext): Node[] {
  const [out = NONE] = routine.outputs;
  const { shape, dtype } = view.type(out);
  const compute = computeClass(dtype);
  const members: Node[] = [];
  // Every member is at least one step of the body.
  for (let value = out; members.length < options.maxRegionSteps; ) {
    const user = view.soleUser(value);
    const body = user && bodyOf(view, user);
    if (!user || !body || taken.has(user) || body.compute !== compute) {
      if (view.users(value).length > 1 && view.users(value).some((u) => bodyOf(view, u)))
        missed(pattern, view.producer(value), "multi-consumer", "its result has several readers");
      return members;
    }
    const [next = NONE] = user.outputs;
    const last = members.at(-1);
    const lastBody = last && bodyOf(view, last);
    if (lastBody && !staysInRegister(lastBody, view.type(value).dtype)) return members;
    if (!shapeEquals(view.type(next).shape, shape)) {
      missed(pattern, user, "shape", "it broadcasts the routine's result");
      return members;
    }
    if ([routine, ...members].some((n) => n.inputs.some((v) => v !== NONE && view.overwrittenBefore(v, user.id)))) {
      missed(pattern, user, "order", "a state that the routine reads is written in between");
      return members;
    }
    members.push(user);
    value = next;
  }
  return members;
}

/** The fused node for these members, or the limit that it breaks. */
function planOf(view: GraphView, routine: Node, members: readonly Node[], { options }: PassContext): Plan | string {
  const [out = NONE] = routine.outputs;
  const last = members.at(-1) ?? routine;
  const { body, operands } = composeMembers(view, members, computeClass(view.type(out).dtype), [out]);
  if (operands.length + 1 > options.maxRegionInputs || body.steps.length > options.maxRegionSteps)
    return `the epilogue would have ${operands.length + 1} operands and ${body.steps.length} steps`;
  const present = routine.inputs.flatMap((v, slot) => (v === NONE ? [] : [slot]));
  const own = routine.inputs.filter((v) => v !== NONE);
  return {
    routine,
    inputs: [...own, ...operands],
    attrs: {
      op: routine.op,
      attrs: routine.attrs,
      arity: own.length,
      present,
      body,
      dtype: view.type(last.outputs[0] ?? NONE).dtype,
    },
  };
}
