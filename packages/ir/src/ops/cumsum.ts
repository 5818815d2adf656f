import { isInt } from "../dtype.ts";
import { attr, defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { resolveAxis } from "../shape.ts";
import { lanes } from "./rules.ts";

export const cumsum = defineOp({
  name: "cumsum",
  doc: "Running sum along `axis`: exclusive leaves the element itself out, reverse starts at the end; integers wrap.",
  inputs: [input("x", "numeric")],
  attrs: { axis: attr.int.default(-1), exclusive: attr.bool.default(false), reverse: attr.bool.default(false) },
  traits: { inPlace: ["x"], accumulate: { dtype: "f32", length: ([x], { axis }) => x?.shape.at(axis) ?? 1, magnitude: "absolute" } },
  infer: ({ x }, { axis }) => {
    resolveAxis("cumsum", axis, x.shape.length);
    return x;
  },
  reference: ({ x }, { axis, exclusive, reverse }, out) => {
    const { outer, length, inner } = lanes(x.shape, axis);
    const exact = isInt(x.dtype);
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        let intSum = 0n;
        for (let step = 0; step < length; step++) {
          const at = (o * length + (reverse ? length - 1 - step : step)) * inner + i;
          const [before, intBefore] = [sum, intSum];
          if (exact) intSum += x.getInt(at);
          else sum += x.get(at);
          if (exact) out.setInt(at, exclusive ? intBefore : intSum);
          else out.set(at, exclusive ? before : sum);
        }
      }
  },
  samples: (rng) => [
    ...numericDTypes.flatMap((d) =>
      [{}, { exclusive: true }, { reverse: true }, { exclusive: true, reverse: true }].flatMap((how) => [
        { inputs: { x: randomTensor(rng, d, [1]) }, attrs: how },
        { inputs: { x: randomTensor(rng, d, [0, 3]) }, attrs: how },
        { inputs: { x: randomTensor(rng, d, [2, 5, 3]) }, attrs: { axis: 1, ...how } },
        { inputs: { x: randomTensor(rng, d, [3, 129]) }, attrs: how },
      ]),
    ),
    { inputs: { x: randomTensor(rng, "f32", [2, 600]) } },
    { inputs: { x: randomTensor(rng, "i32", [2, 600]) }, attrs: { exclusive: true, reverse: true } },
    { inputs: { x: randomTensor(rng, "f32", [3, 70]) }, attrs: { exclusive: true } },
    { inputs: { x: randomTensor(rng, "i16", [2, 3, 1030]) }, attrs: { axis: 1, reverse: true } },
  ],
});
