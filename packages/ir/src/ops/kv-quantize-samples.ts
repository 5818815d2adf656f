import { type KvCodec, type KvCodecId, kvBits, kvCodec, kvCodecIds } from "../kv-codec/codec.ts";
import type { Rng } from "../rng.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";

const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
const int = (value: number): Tensor => Tensor.from("i64", [], [value]);

type Layout = "token" | "head";
interface Extents {
  readonly layout: Layout;
  readonly batch: number;
  readonly heads: number;
  readonly capacity: number;
}

/** A store of random bytes: what is not written must stay. */
function store(rng: Rng, codec: KvCodec, { layout, batch, heads, capacity }: Extents): { packed: Tensor; norms: Tensor } {
  const shape = (each: number): number[] => (layout === "token" ? [batch, capacity, heads * each] : [batch, heads, capacity, each]);
  const packed = Tensor.zeros("u8", shape(codec.packedBytes));
  return {
    packed: Tensor.fromBytes(
      "u8",
      packed.shape,
      packed.bytes.map(() => rng.int(0, 255)),
    ),
    norms: randomTensor(rng, "f32", shape(codec.norms)),
  };
}
const nameOf = ({ id, bits }: KvCodec): string => `${id}:${bits}`;

/** Every codec and width at two head dims, between them every order of the rotation. */
const dims: Readonly<Record<KvCodecId, readonly number[]>> = { "mlx-native-v1": [256, 512], "lloyd-max-v2": [16, 24, 48, 80, 128, 320] };
const codecs = kvCodecIds.flatMap((id) => dims[id].flatMap((d) => kvBits.map((bits) => kvCodec(id, bits, d))));
const small = kvCodec("lloyd-max-v2", 5, 32);

export function kvQuantizeSamples(rng: Rng) {
  const vector = (n: number, ...shape: readonly number[]): Tensor => randomTensor(rng, "f32", [...shape, n]);
  const sample = (
    codec: KvCodec,
    extents: Extents,
    inputs: { x: Tensor; pos: Tensor; slots?: Tensor; tokens?: Tensor; srcTokOffset?: Tensor },
  ) => ({
    inputs: { ...store(rng, codec, extents), ...inputs },
    attrs: { codec: nameOf(codec), headDim: codec.headDim, layout: extents.layout },
  });
  const extents = (layout: Layout, batch: number, heads: number, capacity: number): Extents => ({ layout, batch, heads, capacity });
  const ring = sample(small, extents("head", 4, 2, 3), {
    x: vector(64, 3, 4),
    pos: ints(9, 2, 99),
    slots: ints(3, 0, 1),
    tokens: ints(3, 2, 0),
    srcTokOffset: ints(0, 1, 7),
  });
  const trimmed = sample(small, extents("token", 2, 3, 2), { x: randomTensor(rng, "f32", [2, 3, 5, 32]), pos: ints(1, 4) });
  const poison = vector(64, 1, 4);
  for (const [i, v] of [Number.NaN, Number.POSITIVE_INFINITY, 3e38, 1e-40].entries()) poison.set(65 * i, v);
  // One value becomes 16 of a quarter of it, with both signs: 1e-10 as an f32 is their norm.
  const least = kvCodec("lloyd-max-v2", 5, 16);
  const peak = Tensor.zeros("f32", [1, 1, 32]);
  for (const [i, v] of [4e-10, 3.9e-10].entries()) peak.set(16 * i + 1, v);
  return [
    ...codecs.map((codec) => sample(codec, extents("head", 1, 2, 5), { x: vector(2 * codec.headDim, 1, 2), pos: int(3) })),
    ...floatDTypes.map((d) => sample(small, extents("token", 2, 3, 4), { x: randomTensor(rng, d, [2, 3, 96]), pos: ints(1, 0) })),
    { name: "some tokens into other sequences of a ring", ...ring, attrs: { ...ring.attrs, ring: true } },
    { name: "more tokens than a ring has", ...trimmed, attrs: { ...trimmed.attrs, xLayout: "head" as const, ring: true, trim: true } },
    { name: "not finite, subnormal", ...sample(small, extents("head", 1, 2, 4), { x: poison, pos: int(0) }) },
    { name: "zeros", ...sample(small, extents("head", 1, 2, 4), { x: Tensor.zeros("f32", [1, 3, 64]), pos: int(0) }) },
    { name: "no tokens", ...sample(small, extents("head", 1, 2, 4), { x: vector(64, 1, 0), pos: int(9) }) },
    { name: "no heads", ...sample(small, extents("head", 1, 0, 4), { x: vector(0, 1, 3), pos: int(9) }) },
    { name: "no sequences", ...sample(small, extents("token", 0, 2, 4), { x: vector(64, 0, 3), pos: int(9) }) },
    { name: "the least norm with codes of its own", ...sample(least, extents("head", 1, 2, 4), { x: peak, pos: int(1) }) },
  ];
}

export function kvQuantizePairSamples(rng: Rng) {
  const sample = (k: KvCodec, v: KvCodec, layout: Layout, ring: boolean) => {
    const [keys, values] = [
      store(rng, k, { layout, batch: 3, heads: 2, capacity: 4 }),
      store(rng, v, { layout, batch: 3, heads: 2, capacity: 4 }),
    ];
    return {
      inputs: {
        kPacked: keys.packed,
        kNorms: keys.norms,
        vPacked: values.packed,
        vNorms: values.norms,
        k: randomTensor(rng, "f32", [2, 3, 2 * k.headDim]),
        v: randomTensor(rng, "f32", [2, 3, 2 * v.headDim]),
        pos: ring ? ints(6, 3) : ints(1, 0),
        slots: ints(2, 0),
      },
      attrs: { kCodec: nameOf(k), vCodec: nameOf(v), headDim: k.headDim, valueDim: v.headDim, layout, ring },
    };
  };
  return [
    sample(kvCodec("lloyd-max-v2", 8, 64), kvCodec("lloyd-max-v2", 4, 64), "head", false),
    sample(kvCodec("mlx-native-v1", 4, 256), kvCodec("mlx-native-v1", 8, 512), "head", true),
    sample(kvCodec("lloyd-max-v2", 6, 96), kvCodec("lloyd-max-v2", 5, 40), "token", true),
  ];
}

export function kvDequantizeSamples(rng: Rng) {
  const domains = ["rotated", "plain"] as const;
  const sample = (
    codec: KvCodec,
    extents: Extents,
    pos: Tensor,
    attrs: { tokens?: number; domain?: (typeof domains)[number]; ring?: boolean },
  ) => ({
    inputs: { ...store(rng, codec, extents), pos },
    attrs: { codec: nameOf(codec), headDim: codec.headDim, layout: extents.layout, ...attrs },
  });
  return [
    ...codecs.flatMap((codec) =>
      domains.map((domain) => sample(codec, { layout: "head", batch: 1, heads: 2, capacity: 4 }, int(1), { tokens: 3, domain })),
    ),
    sample(small, { layout: "token", batch: 2, heads: 3, capacity: 4 }, ints(3, 0), {}),
    sample(small, { layout: "token", batch: 2, heads: 3, capacity: 4 }, ints(7, 2), { tokens: 4, ring: true, domain: "plain" }),
    sample(small, { layout: "head", batch: 2, heads: 3, capacity: 4 }, int(6), { tokens: 3, ring: true }),
    sample(small, { layout: "head", batch: 2, heads: 3, capacity: 4 }, int(9), { tokens: 0 }),
    sample(small, { layout: "token", batch: 1, heads: 0, capacity: 4 }, int(9), { tokens: 2 }),
    sample(small, { layout: "head", batch: 1, heads: 0, capacity: 4 }, int(0), { tokens: 5 }),
  ];
}
