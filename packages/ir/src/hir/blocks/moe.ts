import { productOf } from "../../dim.ts";
import { attr, input } from "../../op.ts";
import { defineBlock, stackedWeight, weight } from "../block.ts";
import { gate } from "./mlp.ts";
import { project } from "./shared.ts";

export const moe = defineBlock({
  name: "moe",
  doc: "Mixture of gated feed-forward experts. x [..., k]; router [E, k]; gate, up [E, n, k] and down [E, k, n], or lists of E matrices. The router's softmax is taken over all experts before the top k.",
  inputs: [input("x", "float")],
  attrs: {
    topK: attr.int.required,
    normalize: attr.bool.default(true),
    scoring: attr.oneOf("softmax", "sigmoid"),
    activation: attr.oneOf("silu", "gelu", "gelu_tanh", "relu"),
  },
  params: [weight("router"), stackedWeight("gate"), stackedWeight("up"), stackedWeight("down")],
  lower: (b, { x }, { topK, normalize, scoring, activation }, w) => {
    const width = x.shape.at(-1) ?? 1;
    const tokens = b.reshape(x, { shape: [productOf(x.shape.slice(0, -1)), width] });
    const { weights, experts } = b.moeRoute(project(b, tokens, w.router), { k: topK, normalize, scoring });
    const hidden = gate(b, b.groupedLinear(tokens, w.gate, experts), b.groupedLinear(tokens, w.up, experts), activation);
    const each = b.groupedLinear(hidden, w.down, experts); // [T, K, k]
    const share = b.cast(b.reshape(weights, { shape: [...weights.shape, 1] }), { dtype: x.dtype });
    return b.reshape(b.reduceSum(b.mul(each, share), { axes: [1] }), { shape: x.shape });
  },
});
