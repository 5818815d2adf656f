import type { Builder, Value } from "../builder.ts";
import { type DType, dtypes } from "../dtype.ts";
import { attr, defineOp, input } from "../op.ts";
import type { Rng } from "../rng.ts";
import { randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";
import { kvPlaceAttrs, kvPlaces } from "./kv-plan.ts";
import { inferKvWritePair, type KvPairOperands, runKvWritePair } from "./kv-write-rules.ts";
import { inferRope, type RopeOperands, rotatedMagnitude, rotateHeads } from "./rope-rules.ts";

const op = "rope_kv_write_pair";
const { layout, ring, trim } = kvPlaceAttrs;
/** Heads lie side by side in what rope turns. */
const xLayout = "token" as const;

type Operands = KvPairOperands<Value> & Omit<RopeOperands<Value>, "x"> & { readonly pos: Value };
interface Places {
  readonly slots?: Value | undefined;
  readonly tokens?: Value | undefined;
  readonly srcTokOffset?: Value | undefined;
}
interface RopeKvAttrs {
  readonly headDim: number;
  readonly valueDim?: number | undefined;
  readonly interleaved: boolean;
  readonly layout: "token" | "head";
  readonly ring: boolean;
  readonly trim: boolean;
}

export const ropeKvWritePair = defineOp({
  name: op,
  doc: "kv_write_pair of rope(k) and v, as one step: k and v [N, S, H*D], cos, sin and interleaved as rope has them, everything else as kv_write_pair.",
  inputs: [
    ...[input("kCache", "weight"), input("vCache", "weight"), input("k", "float"), input("v", "float")],
    ...[input("cos", "float"), input("sin", "float")],
    ...kvPlaces,
  ] as const,
  attrs: {
    headDim: attr.int.required,
    valueDim: attr.int.optional,
    interleaved: attr.bool.default(false),
    layout,
    ring,
    trim,
  },
  outputs: ["k", "v"],
  traits: {
    writes: ["kCache", "vCache"],
    accumulate: {
      dtype: "f32",
      length: () => 2,
      // Turned keys are rounded to their own dtype before they are rounded to the cache's.
      magnitude: ({ k, cos, sin }) => {
        const m = (rotatedMagnitude({ x: k, cos, sin }) * Math.max(dtypes[k.dtype].epsilon, dtypes.f32.epsilon)) / dtypes.f32.epsilon;
        return () => m;
      },
    },
  },
  infer: ({ kCache, vCache, k, v, cos, sin, ...places }, attrs) => {
    inferRope(op, "k", { x: k, cos, sin }, attrs.headDim);
    return inferKvWritePair(op, { kCache, vCache, k, v }, places, { ...attrs, xLayout });
  },
  reference: ({ kCache, vCache, k, v, cos, sin, ...places }, attrs, out) => {
    const turned = Tensor.zeros(k.dtype, k.shape);
    rotateHeads({ x: k, cos, sin }, attrs, turned);
    runKvWritePair(op, { kCache, vCache, k: turned, v }, places, { ...attrs, xLayout }, out);
  },
  decompose: (
    b: Builder,
    { kCache, vCache, k, v, cos, sin, pos, slots, tokens, srcTokOffset }: Operands & Places,
    { interleaved, ...attrs }: RopeKvAttrs,
  ): { k: Value; v: Value } => {
    const turned = b.rope(k, cos, sin, { headDim: attrs.headDim, interleaved });
    return b.kvWritePair(kCache, vCache, turned, v, pos, { slots, tokens, srcTokOffset, ...attrs });
  },
  samples: ropeKvSamples,
});

/** Values in steps of 1/8, so that every product and sum is exact, and so are the blocks of q8_0. */
function eighths(rng: Rng, dtype: DType, shape: readonly number[], most: number): Tensor {
  const t = Tensor.zeros(dtype, shape);
  for (let i = 0; i < t.size; i++) t.set(i, rng.int(-8 * most, 8 * most) / 8);
  return t;
}

function ropeKvSamples(rng: Rng) {
  const int = (value: number): Tensor => Tensor.from("i64", [], [value]);
  const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
  const dtypePairs = [
    ["f32", "f32", "f32", "f32"],
    ["f16", "bf16", "f32", "f32"],
    ["f32", "f16", "f16", "f32"],
    ["bf16", "q8_0", "bf16", "f16"],
    ["q8_0", "f32", "f32", "bf16"],
    ["f64", "f64", "f64", "f64"],
  ] as const;
  return dtypePairs.flatMap(([kd, vd, from, table]) => {
    const stored = (dtype: DType, dim: number): number => (dtype === "q8_0" ? 32 * Math.ceil(dim / 32) : dim);
    const caches = (
      batch: number,
      heads: number,
      capacity: number,
      [headDim, valueDim]: readonly [number, number],
      tokenMajor: boolean,
    ) => {
      const shape = (dtype: DType, dim: number): number[] =>
        tokenMajor ? [batch, capacity, heads * stored(dtype, dim)] : [batch, heads, capacity, stored(dtype, dim)];
      return { kCache: randomTensor(rng, kd, shape(kd, headDim)), vCache: randomTensor(rng, vd, shape(vd, valueDim)) };
    };
    const x = (...shape: readonly number[]): Tensor => (kd === "q8_0" ? eighths(rng, from, shape, 4) : randomTensor(rng, from, shape));
    const angles = (...shape: readonly number[]) => {
      const make = (): Tensor => (kd === "q8_0" ? eighths(rng, table, shape, 1) : randomTensor(rng, table, shape));
      return { cos: make(), sin: make() };
    };
    return [
      {
        inputs: { ...caches(1, 2, 6, [8, 8], false), k: x(1, 3, 16), v: x(1, 3, 16), ...angles(3, 4), pos: int(2) },
        attrs: { layout: "head" as const, headDim: 8 },
      },
      {
        name: "part of a head, interleaved, into other sequences of a ring",
        inputs: {
          ...caches(3, 3, 4, [12, 5], true),
          ...{ k: x(2, 3, 36), v: x(2, 3, 15), ...angles(2, 3, 4) },
          ...{ pos: ints(7, 2), slots: ints(2, 0), tokens: ints(2, 3), srcTokOffset: ints(1, 0) },
        },
        attrs: { ring: true, headDim: 12, valueDim: 5, interleaved: true },
      },
      {
        name: "no tokens",
        inputs: { ...caches(1, 1, 4, [4, 4], false), k: x(1, 0, 4), v: x(1, 0, 4), ...angles(0, 2), pos: int(4) },
        attrs: { layout: "head" as const, headDim: 4 },
      },
    ];
  });
}
