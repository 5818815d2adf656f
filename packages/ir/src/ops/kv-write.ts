import { attr, defineOp, input } from "../op.ts";
import { kvPlaceAttrs, kvPlaces } from "./kv-plan.ts";
import { inferKvWrite, type KvPair, runKvWrites } from "./kv-write-rules.ts";
import { kvPairSamples, kvWriteSamples } from "./kv-write-samples.ts";

const single = { cache: "cache", x: "x", headDim: "headDim" };
const keys = { cache: "kCache", x: "k", headDim: "headDim" };
const values = { cache: "vCache", x: "v", headDim: "valueDim" };

export const kvWrite = defineOp({
  name: "kv_write",
  doc:
    "Writes tokens of x, token [N, S, H*D] or head (xLayout) [N, H, S, D], into a cache, token [B, cap, H*D] or head [B, H, cap, D], from position pos on, in " +
    "the cache's dtype: bits when the dtypes agree, else to nearest even; q8_0: vectors filled up to whole blocks of 32, D is headDim. slots (int [N], all " +
    "different): sequence of the cache for each of x, default its own, N = B. tokens (default all) and srcTokOffset (default 0): which tokens of x. pos, tokens, " +
    "srcTokOffset: int [] or [N]. ring: position p lies in slot p mod cap; trim: a ring takes the newest cap tokens. What does not fit is an error, and " +
    "then nothing is written.",
  inputs: [input("cache", "weight"), input("x", "float"), ...kvPlaces],
  attrs: { headDim: attr.int.optional, ...kvPlaceAttrs },
  traits: { writes: ["cache"] },
  infer: ({ cache, x, ...places }, attrs) => inferKvWrite("kv_write", { names: single, cache, x, headDim: attrs.headDim }, places, attrs),
  reference: ({ cache, x, ...places }, attrs, out) =>
    runKvWrites("kv_write", [{ names: single, cache, x, headDim: attrs.headDim, out }], places, attrs),
  samples: kvWriteSamples,
});

interface PairOperands<V> {
  readonly kCache: V;
  readonly vCache: V;
  readonly k: V;
  readonly v: V;
}
interface PairDims {
  readonly headDim?: number | undefined;
  readonly valueDim?: number | undefined;
}
function pairs<V>({ kCache, vCache, k, v }: PairOperands<V>, { headDim, valueDim }: PairDims): { k: KvPair<V>; v: KvPair<V> } {
  return {
    k: { names: keys, cache: kCache, x: k, headDim },
    v: { names: values, cache: vCache, x: v, headDim: valueDim ?? headDim },
  };
}

export const kvWritePair = defineOp({
  name: "kv_write_pair",
  doc:
    "kv_write of K and V at the same places, as one step: both are checked before either is written. Dtypes, heads and capacities may differ; valueDim: the " +
    "head dim of V, default headDim.",
  inputs: [input("kCache", "weight"), input("vCache", "weight"), input("k", "float"), input("v", "float"), ...kvPlaces],
  attrs: { headDim: attr.int.optional, valueDim: attr.int.optional, ...kvPlaceAttrs },
  outputs: ["k", "v"],
  traits: { writes: ["kCache", "vCache"] },
  infer: ({ kCache, vCache, k, v, ...places }, attrs) => {
    const both = pairs({ kCache, vCache, k, v }, attrs);
    const infer = (pair: typeof both.k) => inferKvWrite("kv_write_pair", pair, places, attrs);
    return { k: infer(both.k), v: infer(both.v) };
  },
  reference: ({ kCache, vCache, k, v, ...places }, attrs, out) => {
    const both = pairs({ kCache, vCache, k, v }, attrs);
    const targets = [
      { ...both.k, out: out.k },
      { ...both.v, out: out.v },
    ];
    runKvWrites("kv_write_pair", targets, places, attrs);
  },
  samples: kvPairSamples,
});
