import type { FloatDType } from "../dtype.ts";
import { encodeKvVector } from "../kv-codec/codec.ts";
import { type KvFormat, kvFormatCodec, kvFormats } from "../kv-codec/format.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";
import { rowWidth } from "./attention-shape.ts";

/** A call of attention in words, from which random operands are made. */
export interface AttentionCase {
  readonly batch?: number;
  readonly sq: number;
  /** Slots of the cache. */
  readonly capacity: number;
  readonly heads?: readonly [number, number];
  readonly headDim?: number;
  readonly valueDim?: number;
  readonly q?: FloatDType;
  /** Of k and v, when not q's dtype. */
  readonly kv?: KvFormat;
  /** Of v, when not k's. */
  readonly v?: KvFormat;
  readonly layout?: "token" | "head";
  readonly qPos?: readonly number[] | number;
  readonly kvLen?: readonly number[] | number;
  readonly ringStart?: readonly number[] | number;
  /** Which sequence of the cache each batch row reads; the cache has one more than the largest. */
  readonly slots?: readonly number[];
  /** A tensor of bools is one of kept keys. */
  readonly mask?: "keys" | "keep" | "bias" | Tensor;
  readonly sinks?: boolean | readonly number[];
  readonly attrs?: { causal?: boolean; window?: number; softcap?: number; scale?: number };
}

const integers = (v: readonly number[] | number): Tensor =>
  typeof v === "number" ? Tensor.from("i32", [], [v]) : Tensor.from("i32", [v.length], v);

type At = (sequence: number, slot: number) => boolean;

/** One side of a cache of random vectors, with NaN wherever `poisoned`: what a cache has there must not matter. */
function randomCache(
  rng: Rng,
  format: KvFormat | FloatDType,
  dim: number,
  { sequences, heads, capacity, layout }: { sequences: number; heads: number; capacity: number; layout: "token" | "head" },
  poisoned: At,
): { data: Tensor; norms?: Tensor } {
  const codec = format === "f64" ? undefined : kvFormatCodec(format, dim);
  const shape = (width: number): number[] =>
    layout === "token" ? [sequences, capacity, heads * width] : [sequences, heads, capacity, width];
  const isPoisoned = (row: number): boolean =>
    layout === "token"
      ? poisoned(Math.floor(row / heads / capacity), Math.floor(row / heads) % capacity)
      : poisoned(Math.floor(row / capacity / heads), row % capacity);
  const rows = sequences * heads * capacity;
  if (codec) {
    const [data, norms] = [Tensor.zeros("u8", shape(codec.packedBytes)), Tensor.zeros("f32", shape(codec.norms))];
    const scales = new Float32Array(norms.size);
    for (let r = 0; r < rows; r++) {
      const x = Float32Array.from(isPoisoned(r) ? Array(dim).fill(Number.NaN) : rng.normals(dim));
      const packed = data.bytes.subarray(r * codec.packedBytes, (r + 1) * codec.packedBytes);
      encodeKvVector(codec, x, packed, scales.subarray(r * codec.norms, (r + 1) * codec.norms));
    }
    return { data, norms: Tensor.from("f32", norms.shape, scales) };
  }
  const dtype = format as FloatDType | "q8_0";
  const width = rowWidth(dtype, dim);
  const values = rng.normals(rows * width);
  for (let i = 0; i < values.length; i++) {
    if (i % width >= dim) values[i] = 0;
    else if (isPoisoned(Math.floor(i / width))) values[i] = Number.NaN;
  }
  const data = Tensor.from(dtype, shape(width), values);
  const blocks = width / 32;
  if (dtype === "q8_0") for (let b = 0; b < rows * blocks; b++) if (isPoisoned(Math.floor(b / blocks))) data.bytes.set([0, 0x7e], b * 34);
  return { data };
}

/** What rows may see of each sequence: all that one of them has among its keys. */
function unread({ batch = 1, capacity, kvLen = capacity, ringStart = 0, slots }: AttentionCase): At {
  const read = new Set<string>();
  const of = (v: readonly number[] | number, b: number): number => (typeof v === "number" ? v : (v[b] ?? 0));
  for (let b = 0; b < batch; b++)
    for (let j = 0; j < of(kvLen, b); j++) read.add(`${slots?.[b] ?? b} ${(of(ringStart, b) + j) % capacity}`);
  return (sequence, slot) => !read.has(`${sequence} ${slot}`);
}

/** Operands and attributes of a case; what a cache has where no row may look is NaN. */
export function attentionSample(rng: Rng, c: AttentionCase) {
  const { batch = 1, sq, capacity, heads = [2, 2], headDim = 8, q = "f32", layout = "token", attrs, slots } = c;
  const [numHeads, numKvHeads] = heads;
  const { valueDim = headDim, kv = q, v = kv } = c;
  const place = { sequences: slots ? Math.max(...slots) + 2 : batch, heads: numKvHeads, capacity, layout };
  const poisoned = unread(c);
  const [keys, values] = [randomCache(rng, kv, headDim, place, poisoned), randomCache(rng, v, valueDim, place, poisoned)];
  const mask =
    c.mask instanceof Tensor
      ? c.mask
      : c.mask === "keys"
        ? randomTensor(rng, "bool", [batch, capacity])
        : c.mask === "keep"
          ? randomTensor(rng, "bool", [batch, 1, sq, capacity])
          : c.mask === "bias"
            ? randomTensor(rng, q, [numHeads, sq, capacity])
            : undefined;
  const given = { qPos: c.qPos, kvLen: c.kvLen, ringStart: c.ringStart, slots };
  const isCodec = (format: string): boolean => format.includes(":");
  return {
    inputs: {
      q: randomTensor(rng, q, [batch, sq, numHeads * headDim]),
      k: keys.data,
      v: values.data,
      ...(mask ? { mask } : {}),
      ...Object.fromEntries(Object.entries(given).flatMap(([name, v]) => (v === undefined ? [] : [[name, integers(v)]]))),
      ...(c.sinks ? { sinks: c.sinks === true ? randomTensor(rng, q, [numHeads]) : Tensor.from(q, [numHeads], c.sinks) } : {}),
      ...(keys.norms ? { kNorms: keys.norms } : {}),
      ...(values.norms ? { vNorms: values.norms } : {}),
    },
    attrs: {
      numHeads,
      numKvHeads,
      headDim,
      ...(valueDim === headDim ? {} : { valueDim }),
      kvLayout: layout,
      maskKind: mask === undefined ? ("none" as const) : mask.dtype === "bool" ? ("keep" as const) : ("bias" as const),
      ...(isCodec(kv) ? { kCodec: kv } : {}),
      ...(isCodec(v) ? { vCodec: v } : {}),
      ...attrs,
    },
  };
}

/** Query heads and key heads. */
const groups = [
  [2, 2],
  [4, 2],
  [3, 1],
  [5, 1],
] as const;
const pick = <T>(rng: Rng, list: readonly T[]): T => list[rng.int(0, list.length - 1)] as T;

/** Every format in both layouts, decoding and prefilling, each with another mixture of rings, slots, masks, windows, softcaps, sinks and groups. */
function formatCases(rng: Rng): AttentionCase[] {
  const one = (chance: number): boolean => rng.uniform() < chance;
  return kvFormats.flatMap((kv): AttentionCase[] =>
    (["token", "head"] as const).flatMap((layout) =>
      [1, 5].map((sq): AttentionCase => {
        const mlx = kv.startsWith("mlx");
        const capacity = rng.int(11, 40);
        const ring = one(0.5);
        const batch = mlx ? 1 : rng.int(1, 2);
        const lengths = Array.from({ length: batch }, () => (one(0.5) ? capacity : rng.int(sq, capacity)));
        const mask = pick(rng, [undefined, undefined, "keys", "keep", "bias"] as const);
        const v = one(0.3)
          ? pick(
              rng,
              kvFormats.filter((f) => mlx || !f.startsWith("mlx")),
            )
          : undefined;
        return {
          batch,
          sq,
          capacity,
          layout,
          kv,
          heads: pick(rng, groups),
          headDim: mlx ? (one(0.7) ? 256 : 512) : pick(rng, [16, 32, 48, 64, 80, 96, 128]),
          ...(v === undefined ? {} : { v }),
          kvLen: lengths,
          ...(ring ? { ringStart: lengths.map(() => rng.int(0, capacity - 1)) } : {}),
          ...(one(0.4) ? { slots: Array.from({ length: batch }, () => rng.int(0, 2)) } : {}),
          ...(mask === undefined ? {} : { mask }),
          sinks: one(0.3),
          attrs: {
            causal: one(0.7),
            ...(one(0.3) ? { window: rng.int(1, 12) } : {}),
            ...(one(0.3) ? { softcap: 3 } : {}),
            ...(one(0.3) ? { scale: 0.2 } : {}),
          },
        };
      }),
    ),
  );
}

/** Every feature alone and together: decode and prefill shapes, both layouts, cache dtypes, ragged lengths, rows that see nothing. */
export function attentionSamples(rng: Rng) {
  const causal = { causal: true };
  const cases: AttentionCase[] = [
    ...floatDTypes.flatMap((q): AttentionCase[] => [
      { q, sq: 1, capacity: 1, headDim: 1, heads: [1, 1] },
      { q, sq: 3, capacity: 7, attrs: causal },
      { q, sq: 1, capacity: 33, heads: [6, 2], headDim: 64, attrs: causal, layout: "head" },
    ]),
    ...(["f16", "bf16"] as const).flatMap((kv): AttentionCase[] => [
      { kv, sq: 1, capacity: 40, heads: [4, 2], headDim: 16, kvLen: 21, attrs: causal },
      { kv, sq: 5, capacity: 40, heads: [4, 1], headDim: 20, kvLen: 21, attrs: causal, layout: "head" },
    ]),
    { sq: 0, capacity: 4 },
    { sq: 2, capacity: 0 },
    { sq: 2, capacity: 5, batch: 3 },
    { sq: 4, capacity: 9, heads: [5, 5], headDim: 12, attrs: causal },
    { sq: 4, capacity: 9, heads: [5, 1], headDim: 10, attrs: causal },
    { sq: 2, capacity: 9, headDim: 8, valueDim: 5 },
    { sq: 2, capacity: 9, headDim: 8, valueDim: 12, layout: "head" },
    { sq: 4, capacity: 16, batch: 2, kvLen: [16, 6], qPos: [12, 2], attrs: causal },
    { sq: 4, capacity: 16, batch: 2, kvLen: 9, qPos: 5, attrs: causal, layout: "head" },
    { sq: 3, capacity: 8, batch: 2, kvLen: [0, 8], attrs: causal },
    { sq: 3, capacity: 12, qPos: 2, attrs: causal },
    { sq: 6, capacity: 6, attrs: { causal: true, window: 1 } },
    { sq: 5, capacity: 37, heads: [4, 2], attrs: { causal: true, window: 4 } },
    { sq: 4, capacity: 9, attrs: { window: 3 } },
    { sq: 3, capacity: 17, attrs: { causal: true, softcap: 2.5 } },
    { sq: 3, capacity: 17, attrs: { causal: true, scale: 0.3 } },
    { sq: 3, capacity: 17, sinks: true, attrs: causal },
    { sq: 3, capacity: 9, batch: 2, mask: "keys" },
    { sq: 3, capacity: 9, batch: 2, mask: "keep", attrs: causal },
    { sq: 3, capacity: 9, batch: 2, mask: "bias", attrs: { softcap: 5 } },
    { sq: 3, capacity: 9, mask: "bias", sinks: true, heads: [4, 2], kvLen: 7, attrs: { causal: true, softcap: 5, window: 4 } },
    { sq: 70, capacity: 130, heads: [3, 3], headDim: 24, attrs: causal },
    { sq: 1, capacity: 600, heads: [4, 2], headDim: 32, kvLen: 517, attrs: causal },
    { sq: 2, capacity: 9, headDim: 300, heads: [1, 1], attrs: causal },
    { sq: 1, capacity: 7, headDim: 512, heads: [2, 1], kv: "f16" },
    { sq: 1, capacity: 5, headDim: 520, heads: [1, 1], kv: "f16" },
    { sq: 3, capacity: 12, kvLen: 12, ringStart: 5, attrs: { causal: true, window: 4 } },
    { sq: 3, capacity: 12, kvLen: 7, ringStart: 9, attrs: causal, layout: "head", mask: "keys" },
    { sq: 1, capacity: 12, batch: 3, slots: [3, 0, 3], kvLen: [4, 12, 9], ringStart: [0, 7, 0], attrs: causal },
    { sq: 1, capacity: 600, heads: [4, 2], headDim: 64, kv: "f16", ringStart: 317, attrs: { causal: true, window: 400 } },
    { sq: 4, capacity: 70, heads: [4, 2], headDim: 40, kv: "q8_0", kvLen: 50, ringStart: 33, attrs: causal },
    { sq: 1, capacity: 300, heads: [8, 1], headDim: 64, kv: "lloyd-max-v2:4", ringStart: 200, attrs: causal },
    { sq: 1, capacity: 9, heads: [2, 1], headDim: 320, kv: "lloyd-max-v2:4", attrs: causal },
    { sq: 2, capacity: 9, headDim: 24, kv: "lloyd-max-v2:5", v: "q8_0", valueDim: 33, attrs: causal },
    { sq: 1, capacity: 9, headDim: 32, kv: "f16", v: "lloyd-max-v2:6", valueDim: 40, layout: "head" },
  ];
  return [...cases, ...formatCases(rng)].map((c) => attentionSample(rng, c));
}
