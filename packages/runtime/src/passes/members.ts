import { broadcastShapes, type ComputeClass, NONE, type Node, type ScalarBody, shapeEquals, type ValueId } from "@rlxjs/ir";
import { type BodyPart, composeBody, type Source } from "./body.ts";
import type { GraphView } from "./graph-view.ts";

/** The scalar body of an elementwise node that takes part in runs; undefined for other nodes. */
export function bodyOf(view: GraphView, node: Node): ScalarBody | undefined {
  const { elementwise } = view.def(node).traits;
  if (!elementwise || view.isPrepared(node)) return undefined;
  const types = view.inputTypes(node).filter((t) => t !== undefined);
  return types.length === node.inputs.length ? elementwise(types, node.attrs as never) : undefined;
}

export interface ComposedMembers {
  readonly body: ScalarBody;
  /** Operands of the body, after the `leading` ones. */
  readonly operands: readonly ValueId[];
}

/**
 * Elementwise nodes in order as one body over the values that come from outside. `leading` values take the first registers. Scalar
 * constants become literals, unless the shape of the result rests on them.
 */
export function composeMembers(
  view: GraphView,
  members: readonly Node[],
  compute: ComputeClass,
  leading: readonly ValueId[] = [],
): ComposedMembers {
  const root = members.at(-1);
  const shape = root ? view.type(root.outputs[0] ?? NONE).shape : [];
  const inline = compose(view, members, compute, leading, true);
  const shapes = [...leading, ...inline.operands].map((v) => view.type(v).shape);
  return shapes.length > 0 && shapeEquals(broadcastShapes("region", ...shapes), shape)
    ? inline
    : compose(view, members, compute, leading, false);
}

function compose(
  view: GraphView,
  members: readonly Node[],
  compute: ComputeClass,
  leading: readonly ValueId[],
  literals: boolean,
): ComposedMembers {
  const partOf = new Map<ValueId, number>();
  const external = new Map<ValueId, number>(leading.map((v, i) => [v, i]));
  const source = (v: ValueId): Source => {
    const part = partOf.get(v);
    if (part !== undefined) return { part };
    const literal = literals && view.type(v).shape.every((d) => d === 1) ? view.splat(v) : undefined;
    if (literal !== undefined) return { literal };
    const known = external.get(v) ?? external.size;
    external.set(v, known);
    return { external: known };
  };
  const parts: BodyPart[] = [];
  for (const node of members) {
    const body = bodyOf(view, node);
    const [out = NONE] = node.outputs;
    if (!body) continue;
    const args = node.inputs.map(source);
    partOf.set(out, parts.length);
    parts.push({ body, args, dtype: view.type(out).dtype });
  }
  return { body: composeBody(compute, external.size, parts), operands: [...external.keys()].slice(leading.length) };
}
