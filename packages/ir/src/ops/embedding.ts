import type { Builder, Value } from "../builder.ts";
import { type DType, isFloat } from "../dtype.ts";
import { AttrError, RunError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { rowValues } from "../rows.ts";
import { floatDTypes, randomTensor, weightDTypes, weightTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";
import { expectRank } from "./rules.ts";

export const embedding = defineOp({
  name: "embedding",
  doc: "Rows of a table by id: table [V, D] in any weight dtype, ids int [...], gives [..., D] in `dtype`. An id outside [0, V) is an error.",
  inputs: [input("table", "weight"), input("ids", "int")],
  attrs: { dtype: attr.dtype.default("f32") },
  infer: ({ table, ids }, { dtype }) => {
    expectRank("embedding", "table", table, 2);
    if (!isFloat(dtype)) throw new AttrError("embedding", `dtype: expected a float dtype, got ${dtype}`);
    return { dtype, shape: [...ids.shape, table.shape[1] ?? 1] };
  },
  reference: ({ table, ids }, _, out) => {
    const [vocab = 0, width = 0] = table.shape;
    const rows = indexList("embedding", ids, vocab);
    for (const [i, row] of rows.entries()) {
      const values = rowValues(table, row);
      for (let c = 0; c < width; c++) out.set(i * width + c, values[c] ?? 0);
    }
  },
  decompose: (b: Builder, { table, ids }: { table: Value; ids: Value }, { dtype }: { dtype: DType }): Value =>
    b.dequantize(b.gather(table, ids), { dtype }),
  samples: (rng) => [
    ...weightDTypes.map((d) => ({
      inputs: { table: weightTensor(rng, d, [11, 256]), ids: Tensor.from("i32", [2, 3], [0, 10, 5, 5, 1, 9]) },
    })),
    ...floatDTypes.map((dtype) => ({
      inputs: { table: randomTensor(rng, "f32", [5, 7]), ids: Tensor.from("i64", [3], [4, 0, 2]) },
      attrs: { dtype },
    })),
    { inputs: { table: randomTensor(rng, "f16", [3, 5]), ids: Tensor.from("u32", [], [2]) } },
    { inputs: { table: randomTensor(rng, "f32", [3, 4]), ids: Tensor.zeros("i32", [0]) } },
    { inputs: { table: weightTensor(rng, "q8_0", [3, 0]), ids: Tensor.from("i32", [2], [2, 0]) } },
    // Rows of quads, and of others, that end within sixteen elements.
    ...[36, 37].map((width) => ({ inputs: { table: randomTensor(rng, "f16", [7, width]), ids: Tensor.from("i32", [4], [6, 0, 3, 5]) } })),
  ],
});

/** Index operands as numbers; all are checked against [0, extent) before anything is written. */
export function indexList(op: string, indices: Tensor, extent: number): number[] {
  const out = Array.from({ length: indices.size }, (_, i) => Number(indices.getInt(i)));
  const bad = out.findIndex((v) => v < 0 || v >= extent);
  if (bad >= 0) throw new RunError(op, `index ${bad}: expected 0 to ${extent - 1}, got ${indices.getInt(bad)}`);
  return out;
}
