import type { Builder, Value } from "../../builder.ts";
import { attr, input } from "../../op.ts";
import { defineBlock, optionalWeight, weight } from "../block.ts";
import { activate, activations, project } from "./shared.ts";

type Gating = "silu" | "gelu" | "gelu_tanh" | "relu";

/** activation(gate) * up, by the fused op where there is one. */
export function gate(b: Builder, gated: Value, up: Value, activation: Gating): Value {
  if (activation === "silu") return b.swiglu(gated, up);
  if (activation === "gelu_tanh") return b.geglu(gated, up);
  return b.mul(activate(b, gated, activation), up);
}

const params = [
  weight("gate"),
  weight("up"),
  weight("down"),
  optionalWeight("gateBias"),
  optionalWeight("upBias"),
  optionalWeight("downBias"),
] as const;

const gated = <const T extends readonly [Gating, ...Gating[]]>(name: string, doc: string, activations: T) =>
  defineBlock({
    name,
    doc,
    inputs: [input("x", "float")],
    attrs: { activation: attr.oneOf(...activations) },
    params,
    lower: (b, { x }, { activation }, w) =>
      project(b, gate(b, project(b, x, w.gate, w.gateBias), project(b, x, w.up, w.upBias), activation), w.down, w.downBias),
  });

export const swiglu = gated("swiglu", "down(activation(gate(x)) * up(x)): the gated feed-forward layer (Shazeer 2020), SiLU by default.", [
  "silu",
  "relu",
]);
export const geglu = gated("geglu", "down(gelu(gate(x)) * up(x)), with the tanh form of GELU by default.", ["gelu_tanh", "gelu"]);

export const mlp = defineBlock({
  name: "mlp",
  doc: "down(activation(up(x))): the plain feed-forward layer.",
  inputs: [input("x", "float")],
  attrs: { activation: attr.oneOf(...activations) },
  params: [weight("up"), weight("down"), optionalWeight("upBias"), optionalWeight("downBias")],
  lower: (b, { x }, { activation }, w) => project(b, activate(b, project(b, x, w.up, w.upBias), activation), w.down, w.downBias),
});
