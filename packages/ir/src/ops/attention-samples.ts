import type { FloatDType } from "../dtype.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";

interface Case {
  readonly batch?: number;
  readonly sq: number;
  readonly slots: number;
  readonly heads?: readonly [number, number];
  readonly headDim?: number;
  readonly valueDim?: number;
  readonly q?: FloatDType;
  readonly kv?: FloatDType;
  readonly layout?: "token" | "head";
  readonly qPos?: readonly number[] | number;
  readonly kvLen?: readonly number[] | number;
  readonly mask?: "keys" | "keep" | "bias";
  readonly sinks?: boolean;
  readonly attrs?: { causal?: boolean; window?: number; softcap?: number; scale?: number };
}

const positions = (v: readonly number[] | number): Tensor =>
  typeof v === "number" ? Tensor.from("i32", [], [v]) : Tensor.from("i32", [v.length], v);

/** Slots from `length` on hold NaN: what a cache has there must not matter. */
function poison(t: Tensor, width: number, slots: number, length: number): void {
  for (let i = 0; i < t.size; i++) if (Math.floor(i / width) % slots >= length) t.set(i, Number.NaN);
}

function attentionSample(rng: Rng, c: Case) {
  const { batch = 1, sq, slots, heads = [2, 2], headDim = 8, q = "f32", layout = "token", attrs } = c;
  const [numHeads, numKvHeads] = heads;
  const kv = c.kv ?? q;
  const cache = (d: number): Tensor => {
    const t = randomTensor(rng, kv, layout === "token" ? [batch, slots, numKvHeads * d] : [batch, numKvHeads, slots, d]);
    if (typeof c.kvLen === "number") poison(t, layout === "token" ? numKvHeads * d : d, slots, c.kvLen);
    return t;
  };
  const mask =
    c.mask === "keys"
      ? randomTensor(rng, "bool", [batch, slots])
      : c.mask === "keep"
        ? randomTensor(rng, "bool", [batch, 1, sq, slots])
        : c.mask === "bias"
          ? randomTensor(rng, q, [numHeads, sq, slots])
          : undefined;
  return {
    inputs: {
      q: randomTensor(rng, q, [batch, sq, numHeads * headDim]),
      k: cache(headDim),
      v: cache(c.valueDim ?? headDim),
      ...(mask ? { mask } : {}),
      ...(c.qPos === undefined ? {} : { qPos: positions(c.qPos) }),
      ...(c.kvLen === undefined ? {} : { kvLen: positions(c.kvLen) }),
      ...(c.sinks ? { sinks: randomTensor(rng, q, [numHeads]) } : {}),
    },
    attrs: {
      numHeads,
      numKvHeads,
      headDim,
      kvLayout: layout,
      maskKind: c.mask === undefined ? ("none" as const) : c.mask === "bias" ? ("bias" as const) : ("keep" as const),
      ...attrs,
    },
  };
}

/** Every feature alone and together: decode and prefill shapes, both layouts, cache dtypes, ragged lengths, rows that see nothing. */
export function attentionSamples(rng: Rng) {
  const causal = { causal: true };
  const cases: Case[] = [
    ...floatDTypes.flatMap((q): Case[] => [
      { q, sq: 1, slots: 1, headDim: 1, heads: [1, 1] },
      { q, sq: 3, slots: 7, attrs: causal },
      { q, sq: 1, slots: 33, heads: [6, 2], headDim: 64, attrs: causal, layout: "head" },
    ]),
    ...(["f16", "bf16"] as const).flatMap((kv): Case[] => [
      { kv, sq: 1, slots: 40, heads: [4, 2], headDim: 16, kvLen: 21, attrs: causal },
      { kv, sq: 5, slots: 40, heads: [4, 1], headDim: 20, kvLen: 21, attrs: causal, layout: "head" },
    ]),
    { sq: 0, slots: 4 },
    { sq: 2, slots: 0 },
    { sq: 2, slots: 5, batch: 3 },
    { sq: 4, slots: 9, heads: [5, 5], headDim: 12, attrs: causal },
    { sq: 4, slots: 9, heads: [5, 1], headDim: 10, attrs: causal },
    { sq: 2, slots: 9, headDim: 8, valueDim: 5 },
    { sq: 2, slots: 9, headDim: 8, valueDim: 12, layout: "head" },
    { sq: 4, slots: 16, batch: 2, kvLen: [16, 6], qPos: [12, 2], attrs: causal },
    { sq: 4, slots: 16, batch: 2, kvLen: 9, qPos: 5, attrs: causal, layout: "head" },
    { sq: 3, slots: 8, batch: 2, kvLen: [0, 8], attrs: causal },
    { sq: 3, slots: 12, qPos: 2, attrs: causal },
    { sq: 6, slots: 6, attrs: { causal: true, window: 1 } },
    { sq: 5, slots: 37, heads: [4, 2], attrs: { causal: true, window: 4 } },
    { sq: 4, slots: 9, attrs: { window: 3 } },
    { sq: 3, slots: 17, attrs: { causal: true, softcap: 2.5 } },
    { sq: 3, slots: 17, attrs: { causal: true, scale: 0.3 } },
    { sq: 3, slots: 17, sinks: true, attrs: causal },
    { sq: 3, slots: 9, batch: 2, mask: "keys" },
    { sq: 3, slots: 9, batch: 2, mask: "keep", attrs: causal },
    { sq: 3, slots: 9, batch: 2, mask: "bias", attrs: { softcap: 5 } },
    { sq: 3, slots: 9, mask: "bias", sinks: true, heads: [4, 2], kvLen: 7, attrs: { causal: true, softcap: 5, window: 4 } },
    { sq: 70, slots: 130, heads: [3, 3], headDim: 24, attrs: causal },
    { sq: 1, slots: 600, heads: [4, 2], headDim: 32, kvLen: 517, attrs: causal },
  ];
  return cases.map((c) => attentionSample(rng, c));
}
