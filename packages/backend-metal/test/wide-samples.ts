import { type AnyOpDef, type AttrRecord, checkAttrs, ops, randomTensor, Rng } from "@rlxjs/ir";
import { type Case, casesOf } from "../../backend-cpu/test/one-op.ts";

/** Operands that need kernels which the ops' own samples are too small for. */
const wider: readonly (readonly [def: AnyOpDef, shapes: readonly (readonly number[])[], attrs: AttrRecord])[] = [
  [ops.transpose, [[70, 66]], { perm: [1, 0] }],
  [
    ops.attention,
    [
      [1, 1, 512],
      [1, 9, 512],
      [1, 9, 512],
    ],
    { numHeads: 1, numKvHeads: 1, headDim: 512 },
  ],
];

/** The samples of an op, and wider ones. */
export function samplesOf(def: AnyOpDef): Case[] {
  const rng = new Rng(11);
  const more = wider.flatMap(([op, shapes, attrs]): Case[] =>
    op === def
      ? [
          {
            name: `wide ${shapes.join(", ")}`,
            slots: def.inputs.map((_: unknown, i: number) => shapes[i] && randomTensor(rng, "f32", shapes[i])),
            attrs: checkAttrs(def, attrs),
          },
        ]
      : [],
  );
  return [...casesOf(def), ...more];
}
