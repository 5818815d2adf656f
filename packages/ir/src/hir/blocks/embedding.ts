import { attr, input } from "../../op.ts";
import { defineBlock, weight } from "../block.ts";

export const embedding = defineBlock({
  name: "embedding",
  doc: "Rows of a weight [V, D] by ids int [...] -> [..., D], times `scale` (Gemma: sqrt(D)).",
  inputs: [input("ids", "int")],
  attrs: { dtype: attr.dtype.default("f32"), scale: attr.number.default(1) },
  params: [weight("weight")],
  lower: (b, { ids }, { dtype, scale }, w) => {
    const rows = b.embedding(w.weight, ids, { dtype });
    return scale === 1 ? rows : b.mul(rows, scale);
  },
});
