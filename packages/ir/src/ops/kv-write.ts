import { dimEquals, mulDims } from "../dim.ts";
import { AttrError, RunError, ShapeError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { floatDTypes, numericDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { perSequence } from "./attention.ts";
import { sameMemory } from "./copy.ts";
import { expectRank, expectShape, headsOf } from "./rules.ts";

export const kvWrite = defineOp({
  name: "kv_write",
  doc:
    "Writes the rows of x [B, S, Hkv*D] at slots pos .. pos+S-1 of a cache, token [B, cap, Hkv*D] or head [B, Hkv, cap, D], in the cache's dtype " +
    "(to nearest even); pos int [] or [B]. Rows that do not fit are an error, and then nothing is written.",
  inputs: [input("cache", "float"), input("x", "float"), input("pos", "int")],
  attrs: { layout: attr.oneOf("token", "head"), headDim: attr.int.optional },
  traits: { writes: ["cache"] },
  infer: ({ cache, x, pos }, { layout, headDim }) => {
    expectRank("kv_write", "x", x, 3);
    const [batch = 1, , width = 1] = x.shape;
    if (layout === "token") {
      expectRank("kv_write", "cache", cache, 3);
      expectShape("kv_write", "cache", cache, [batch, cache.shape[1] ?? 1, width]);
      if (headDim !== undefined) headsOf("kv_write", "x", x, headDim);
    } else {
      expectRank("kv_write", "cache", cache, 4);
      const [b = 1, heads = 1, , dim = 1] = cache.shape;
      if (!dimEquals(b, batch) || !dimEquals(mulDims(heads, dim), width))
        throw new ShapeError("kv_write", `cache: expected [${batch}, H, capacity, D] with H*D = ${width}, got ${showType(cache)}`);
      if (headDim !== undefined && headDim !== dim)
        throw new AttrError("kv_write", `headDim: expected ${dim}, as in cache ${showType(cache)}, got ${headDim}`);
    }
    if (pos.shape.length > 0) expectShape("kv_write", "pos", pos, [batch]);
    return cache;
  },
  reference: ({ cache, x, pos }, { layout }, out) => {
    const [batch = 0, rows = 0, width = 0] = x.shape;
    const capacity = cache.shape[layout === "token" ? 1 : 2] ?? 0;
    const at = perSequence(pos, batch, () => 0);
    const bad = at.findIndex((p) => p < 0 || p + rows > capacity);
    if (bad >= 0)
      throw new RunError(
        "kv_write",
        `pos of sequence ${bad}: expected 0 to ${capacity - rows} for ${rows} rows in ${capacity} slots, got ${at[bad]}`,
      );
    if (!sameMemory(out, cache)) out.bytes.set(cache.bytes);
    const dim = layout === "token" ? width : (cache.shape[3] ?? 1);
    const heads = width / dim; // token: a row is one run
    const xv = x.values();
    for (let b = 0; b < batch; b++)
      for (let r = 0; r < rows; r++)
        for (let h = 0; h < heads; h++) {
          const target = ((b * heads + h) * capacity + (at[b] ?? 0) + r) * dim;
          const source = (b * rows + r) * width + h * dim;
          for (let d = 0; d < dim; d++) out.set(target + d, xv[source + d] ?? 0);
        }
  },
  samples: (rng) =>
    floatDTypes.flatMap((d) =>
      floatDTypes.flatMap((from) => [
        {
          inputs: { cache: randomTensor(rng, d, [1, 5, 6]), x: randomTensor(rng, from, [1, 2, 6]), pos: Tensor.from("i32", [], [3]) },
          attrs: { headDim: 3 },
        },
        {
          inputs: { cache: randomTensor(rng, d, [2, 5, 6]), x: randomTensor(rng, from, [2, 1, 6]), pos: Tensor.from("i64", [2], [4, 0]) },
          attrs: { headDim: 6 },
        },
        {
          inputs: {
            cache: randomTensor(rng, d, [2, 3, 7, 5]),
            x: randomTensor(rng, from, [2, 3, 15]),
            pos: Tensor.from("i32", [2], [1, 4]),
          },
          attrs: { layout: "head" as const, headDim: 5 },
        },
        {
          inputs: { cache: randomTensor(rng, d, [1, 4, 2]), x: randomTensor(rng, from, [1, 0, 2]), pos: Tensor.from("i32", [], [4]) },
          attrs: { headDim: 2 },
        },
      ]),
    ),
});

export const stateWrite = defineOp({
  name: "state_write",
  doc: "Replaces all of a state by a value of the same type.",
  inputs: [input("state", "any"), input("value", "any")],
  traits: { writes: ["state"] },
  infer: ({ state, value }) => {
    if (state.dtype !== value.dtype) throw new ShapeError("state_write", `value: expected ${showType(state)}, got ${showType(value)}`);
    expectShape("state_write", "value", value, state.shape);
    return state;
  },
  reference: ({ value }, _, out) => out.bytes.set(value.bytes),
  samples: (rng) =>
    [...numericDTypes, "bool" as const].flatMap((d) => [
      { inputs: { state: randomTensor(rng, d, [3, 5]), value: randomTensor(rng, d, [3, 5]) } },
      { inputs: { state: randomTensor(rng, d, []), value: randomTensor(rng, d, []) } },
    ]),
});
