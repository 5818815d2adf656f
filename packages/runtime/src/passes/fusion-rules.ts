import { type DType, dtypes, NONE, type Node, ops, shapeEquals, type ValueId } from "@rlxjs/ir";
import type { GraphView } from "./graph-view.ts";
import { type FusedNode, fusionPass, fusionRule, type Refusal } from "./fusion.ts";
import { any, as, type Match, op, sole } from "./pattern.ts";

const result = (node: Node): ValueId => node.outputs[0] ?? NONE;
/** f16 and bf16: dropping the rounding of an inner result would change the bits. Regions keep it, see body.ts. */
const isNarrow = (d: DType): boolean => dtypes[d].epsilon > dtypes.f32.epsilon;
const narrow = (d: DType): Refusal => ({ reason: "dtype", detail: `the inner result is rounded to ${d}` });
const sameShape = (view: GraphView, a: ValueId, b: ValueId): boolean => shapeEquals(view.type(a).shape, view.type(b).shape);

/** activation(gate) * up as one op. */
const gated =
  (def: typeof ops.swiglu | typeof ops.geglu) =>
  (match: Match<"gate" | "up">, view: GraphView): FusedNode | Refusal => {
    const { gate, up } = match.values;
    const out = result(match.root);
    if (isNarrow(view.type(out).dtype)) return narrow(view.type(out).dtype);
    if (!sameShape(view, gate, up)) return { reason: "shape", detail: "gate and up differ in shape" };
    return { def, inputs: [gate, up], attrs: {}, results: [out] };
  };

/** norm(x + residual), keeping the sum. */
const residual =
  (def: typeof ops.residualRmsNorm | typeof ops.residualLayerNorm) =>
  (match: Match<"sum" | "x" | "residual">, view: GraphView): FusedNode | Refusal => {
    const { sum, x, residual: other } = match.values;
    if (!sameShape(view, x, other)) return { reason: "shape", detail: "an operand of the sum is broadcast" };
    return { def, inputs: [x, other, ...match.root.inputs.slice(1)], attrs: match.root.attrs, results: [sum, result(match.root)] };
  };

/** rope(k) on its way into the cache, where heads lie side by side in k. */
const turnedKeys = ({ root, values, node }: Match<"kCache" | "vCache" | "k" | "cos" | "sin" | "turned">): FusedNode | undefined => {
  const { xLayout, headDim, ...attrs } = root.attrs;
  const turn = node("turned").attrs;
  if (xLayout !== "token" || (headDim !== undefined && headDim !== turn.headDim)) return undefined;
  const { kCache, vCache, k, cos, sin } = values;
  const [, , , v = NONE, ...places] = root.inputs;
  return {
    def: ops.ropeKvWritePair,
    inputs: [kCache, vCache, k, v, cos, sin, ...places],
    attrs: { ...attrs, ...turn },
    results: root.outputs,
  };
};

export const fusionRules = [
  // x sigmoid(x) = silu(x)
  fusionRule("silu", op("mul", any("x"), sole(op("sigmoid", any("x")))), ({ values, root }, view) => {
    const { dtype } = view.type(values.x);
    return isNarrow(dtype) ? narrow(dtype) : { def: ops.silu, inputs: [values.x], attrs: {}, results: [result(root)] };
  }),
  fusionRule("swiglu", op("mul", sole(op("silu", any("gate"))), any("up")), gated(ops.swiglu)), // silu(gate) up
  fusionRule("geglu", op("mul", sole(op("gelu_tanh", any("gate"))), any("up")), gated(ops.geglu)), // gelu_tanh(gate) up
  // x w^T + b, the sum taken before the only rounding
  fusionRule("linear bias", op("add", as("y", sole(op("linear", any("x"), any("w")))), any("bias")), ({ values, root, node }, view) => {
    const [n] = view.type(values.y).shape.slice(-1);
    const bias = view.type(values.bias);
    if (node("y").inputs[2] !== NONE || n === undefined || !shapeEquals(bias.shape, [n])) return undefined;
    if (isNarrow(bias.dtype)) return narrow(bias.dtype);
    return { def: ops.linear, inputs: [values.x, values.w, values.bias], attrs: {}, results: [result(root)] };
  }),
  fusionRule(
    "rope + kv write",
    op("kv_write_pair", any("kCache"), any("vCache"), as("turned", sole(op("rope", any("k"), any("cos"), any("sin"))))),
    turnedKeys,
  ),
  fusionRule("residual + rms norm", op("rms_norm", as("sum", op("add", any("x"), any("residual")))), residual(ops.residualRmsNorm)),
  fusionRule("residual + layer norm", op("layer_norm", as("sum", op("add", any("x"), any("residual")))), residual(ops.residualLayerNorm)),
];

export const fuseRules = fusionPass("fuse", fusionRules);
