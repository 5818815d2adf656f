import { attr, input } from "../../op.ts";
import { defineBlock, optionalWeight, weight } from "../block.ts";
import { asFloat, rms, shifted } from "./shared.ts";

const rmsAttrs = {
  eps: attr.number.default(1e-6),
  /** Added to the weight: 1 for Gemma. */
  offset: attr.number.default(0),
};

export const rmsNorm = defineBlock({
  name: "rms_norm",
  doc: "RMS norm over the last axis with weight + `offset`.",
  inputs: [input("x", "float")],
  attrs: rmsAttrs,
  params: [weight("weight")],
  lower: (b, { x }, { eps, offset }, w) => rms(b, x, w.weight, eps, offset),
});

export const layerNorm = defineBlock({
  name: "layer_norm",
  doc: "Layer norm over the last axis.",
  inputs: [input("x", "float")],
  attrs: { eps: attr.number.default(1e-5) },
  params: [weight("weight"), optionalWeight("bias")],
  lower: (b, { x }, { eps }, w) =>
    b.layerNorm(x, { weight: asFloat(b, w.weight, x.dtype), bias: w.bias && asFloat(b, w.bias, x.dtype), eps }),
});

export const residualRmsNorm = defineBlock({
  name: "residual_rms_norm",
  doc: "sum = x + residual, and its RMS norm.",
  inputs: [input("x", "float"), input("residual", "float")],
  attrs: rmsAttrs,
  params: [weight("weight")],
  outputs: ["sum", "normed"],
  lower: (b, { x, residual }, { eps, offset }, w) =>
    b.residualRmsNorm(x, residual, { weight: shifted(b, asFloat(b, w.weight, x.dtype), offset), eps }),
});
