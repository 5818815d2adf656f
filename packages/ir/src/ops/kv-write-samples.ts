import type { DType } from "../dtype.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";

const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
const int = (value: number): Tensor => Tensor.from("i64", [], [value]);
const cacheDTypes = [...floatDTypes, "q8_0"] as const;
/** Extent of a vector of `dim` values in a cache. */
const stored = (dtype: DType, dim: number): number => (dtype === "q8_0" ? 32 * Math.ceil(dim / 32) : dim);

const head = { layout: "head" as const, xLayout: "head" as const };
const ring = { ring: true };

export function kvWriteSamples(rng: Rng) {
  const pairs = cacheDTypes.flatMap((d) => floatDTypes.map((from) => [d, from] as const));
  const ofEach = pairs.flatMap(([d, from]) => {
    const cache = (...shape: readonly number[]): Tensor => randomTensor(rng, d, shape);
    const x = (...shape: readonly number[]): Tensor => randomTensor(rng, from, shape);
    const dim = (n: number): number => stored(d, n);
    return [
      { name: `${from} rows into ${d}`, inputs: { cache: cache(1, 5, 2 * dim(3)), x: x(1, 2, 6), pos: int(3) }, attrs: { headDim: 3 } },
      { inputs: { cache: cache(2, 5, dim(6)), x: x(2, 1, 6), pos: ints(4, 0) }, attrs: { headDim: 6 } },
      { inputs: { cache: cache(2, 3, 7, dim(5)), x: x(2, 3, 15), pos: ints(1, 4) }, attrs: { layout: "head" as const, headDim: 5 } },
      { inputs: { cache: cache(1, 2, 4, dim(33)), x: x(1, 2, 3, 33), pos: int(6) }, attrs: { ...head, ...ring, headDim: 33 } },
      {
        inputs: { cache: cache(1, 3, 2 * dim(4)), x: x(1, 2, 7, 4), pos: int(2) },
        attrs: { xLayout: "head" as const, ...ring, trim: true, headDim: 4 },
      },
      {
        name: `some tokens of ${from} into other sequences of ${d}`,
        inputs: {
          cache: cache(4, 2, 6, dim(5)),
          x: x(3, 4, 10),
          pos: ints(9, 2, 99),
          slots: ints(3, 0, 1),
          tokens: ints(4, 2, 0),
          srcTokOffset: ints(0, 1, 7),
        },
        attrs: { layout: "head" as const, ...ring, headDim: 5 },
      },
      {
        inputs: { cache: cache(1, 9, dim(64)), x: x(1, 8, 64), pos: int(1), tokens: int(3), srcTokOffset: int(5) },
        attrs: { headDim: 64 },
      },
      { name: "no tokens", inputs: { cache: cache(1, 4, dim(2)), x: x(1, 0, 2), pos: int(4) }, attrs: { headDim: 2 } },
      {
        name: "no slots, no tokens",
        inputs: { cache: cache(1, 2, 0, dim(2)), x: x(1, 3, 4), pos: int(0), tokens: int(0) },
        attrs: { layout: "head" as const, headDim: 2 },
      },
      { name: "no sequences", inputs: { cache: cache(0, 4, dim(2)), x: x(0, 3, 2), pos: int(0) }, attrs: { headDim: 2 } },
      { name: "no heads", inputs: { cache: cache(1, 0, 4, dim(2)), x: x(1, 0, 3, 2), pos: int(0) }, attrs: { ...head, headDim: 2 } },
    ];
  });
  return [...ofEach, ...placeSamples(rng)];
}

/** Places at their limits, whatever is written there. */
function placeSamples(rng: Rng) {
  const random = (...shape: readonly number[]): Tensor => randomTensor(rng, "f32", shape);
  return [
    { name: "no values, wherever", inputs: { cache: random(1, 4, 0), x: random(1, 3, 0), pos: int(9) }, attrs: {} },
    {
      name: "vectors of one value",
      inputs: { cache: random(1, 3, 4, 1), x: random(1, 2, 3), pos: int(1) },
      attrs: { layout: "head" as const, headDim: 1 },
    },
    {
      name: "all but every token",
      inputs: { cache: random(2, 4, 3), x: random(2, 3, 3), pos: ints(1, 9), srcTokOffset: ints(2, 3) },
      attrs: {},
    },
    {
      name: "a slot that an earlier sequence leaves alone",
      inputs: { cache: random(2, 4, 3), x: random(2, 3, 3), pos: int(1), slots: ints(1, 1), tokens: ints(0, 1) },
      attrs: {},
    },
    ...[2 ** 32, 2 ** 33 + 1, Number.MAX_SAFE_INTEGER - 2].map((pos) => ({
      name: `position ${pos} of a ring`,
      inputs: { cache: random(1, 3, 2), x: random(1, 2, 2), pos: int(pos) },
      attrs: ring,
    })),
  ];
}

export function kvPairSamples(rng: Rng) {
  const dtypes = [
    ["f16", "f16"],
    ["f32", "q8_0"],
    ["q8_0", "bf16"],
    ["f64", "f32"],
  ] as const;
  return dtypes.flatMap(([kd, vd]) => {
    const caches = (batch: number, heads: number, capacity: number, headDim: number, valueDim: number) => ({
      kCache: randomTensor(rng, kd, [batch, heads, capacity, stored(kd, headDim)]),
      vCache: randomTensor(rng, vd, [batch, heads, capacity, stored(vd, valueDim)]),
    });
    const x = (...shape: readonly number[]): Tensor => randomTensor(rng, "f32", shape);
    return [
      { inputs: { ...caches(1, 2, 6, 8, 8), k: x(1, 3, 16), v: x(1, 3, 16), pos: int(2) }, attrs: { layout: "head" as const, headDim: 8 } },
      {
        inputs: { ...caches(3, 2, 4, 6, 3), k: x(2, 2, 3, 6), v: x(2, 2, 3, 3), pos: ints(3, 0), slots: ints(2, 0), tokens: ints(2, 3) },
        attrs: { ...head, ...ring, headDim: 6, valueDim: 3 },
      },
    ];
  });
}
