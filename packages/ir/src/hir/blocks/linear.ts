import { dimEquals, subDims } from "../../dim.ts";
import { ShapeError } from "../../errors.ts";
import { attr, input } from "../../op.ts";
import { showType } from "../../shape.ts";
import { defineBlock, optionalWeight, weight } from "../block.ts";
import { activate, activations, asFloat, project, softCap } from "./shared.ts";

export const linear = defineBlock({
  name: "linear",
  doc: "activation(x W^T + bias): x [..., k], weight [n, k] in any weight dtype, bias [n].",
  inputs: [input("x", "float")],
  attrs: { outFeatures: attr.dim.optional, activation: attr.oneOf(...activations) },
  params: [weight("weight"), optionalWeight("bias")],
  lower: (b, { x }, { outFeatures, activation }, w) => {
    if (outFeatures !== undefined && !dimEquals(w.weight.shape[0] ?? -1, outFeatures))
      throw new ShapeError("linear", `weight: expected ${outFeatures} rows, got ${showType(w.weight.type)}`);
    return activate(b, project(b, x, w.weight, w.bias), activation);
  },
});

export const lmHead = defineBlock({
  name: "lm_head",
  doc: "Logits of x [B, S, k] by a weight [V, k] (own, or the embedding's): the `last` rows only if given, soft-capped if given.",
  inputs: [input("x", "float")],
  attrs: { last: attr.int.optional, softcap: attr.number.optional, dtype: attr.dtype.default("f32") },
  params: [weight("weight"), optionalWeight("bias")],
  lower: (b, { x }, { last, softcap, dtype }, w) => {
    const axis = x.shape.length - 2;
    const rows = x.shape[axis];
    if (last !== undefined && rows === undefined) throw new ShapeError("lm_head", `x: expected [..., S, k], got ${showType(x.type)}`);
    const picked = last === undefined || rows === undefined ? x : b.slice(x, { axis, start: subDims(rows, last), size: last });
    const logits = asFloat(b, project(b, picked, w.weight, w.bias), dtype);
    return softcap === undefined ? logits : softCap(b, logits, softcap);
  },
});
