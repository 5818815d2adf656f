import { attr, defineOp, input } from "../op.ts";
import { kvPlaceAttrs, kvPlaces } from "./kv-plan.ts";
import { inferKvWrite, inferKvWritePair, runKvWritePair, runKvWrites } from "./kv-write-rules.ts";
import { kvPairSamples, kvWriteSamples } from "./kv-write-samples.ts";

const single = { cache: "cache", x: "x", headDim: "headDim" };

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

export const kvWritePair = defineOp({
  name: "kv_write_pair",
  doc:
    "kv_write of K and V at the same places, as one step: both are checked before either is written. Dtypes, heads and capacities may differ; valueDim: the " +
    "head dim of V, default headDim.",
  inputs: [input("kCache", "weight"), input("vCache", "weight"), input("k", "float"), input("v", "float"), ...kvPlaces],
  attrs: { headDim: attr.int.optional, valueDim: attr.int.optional, ...kvPlaceAttrs },
  outputs: ["k", "v"],
  traits: { writes: ["kCache", "vCache"] },
  infer: ({ kCache, vCache, k, v, ...places }, attrs) => inferKvWritePair("kv_write_pair", { kCache, vCache, k, v }, places, attrs),
  reference: ({ kCache, vCache, k, v, ...places }, attrs, out) =>
    runKvWritePair("kv_write_pair", { kCache, vCache, k, v }, places, attrs, out),
  samples: kvPairSamples,
});
