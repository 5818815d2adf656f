import { attr, defineOp, input } from "../op.ts";
import { kvPlaceAttrs, kvPlaces } from "./kv-plan.ts";
import { inferKvQuantize, type KvQuantized, runKvQuantize } from "./kv-quantize-rules.ts";
import { kvQuantizePairSamples, kvQuantizeSamples } from "./kv-quantize-samples.ts";

const single = { packed: "packed", norms: "norms", x: "x", codec: "codec" };
const keys = { packed: "kPacked", norms: "kNorms", x: "k", codec: "kCodec" };
const values = { packed: "vPacked", norms: "vNorms", x: "v", codec: "vCodec" };

export const kvQuantize = defineOp({
  name: "kv_quantize",
  doc:
    'Encodes tokens of x (as kv_write takes them) with a codec ("lloyd-max-v2:4") into a quantized cache: codes packed u8, token [B, cap, H*bytes] or head ' +
    "[B, H, cap, bytes], and norms f32, token [B, cap, H*n] or head [B, H, cap, n]. Places, ring and trim as in kv_write; bits are the same everywhere. " +
    "What does not fit is an error, and then nothing is written.",
  inputs: [input("packed", "int"), input("norms", "float"), input("x", "float"), ...kvPlaces],
  attrs: { codec: attr.string.required, headDim: attr.int.required, ...kvPlaceAttrs },
  outputs: ["packed", "norms"],
  traits: { writes: ["packed", "norms"] },
  infer: ({ packed, norms, x, ...places }, attrs) =>
    inferKvQuantize("kv_quantize", { names: single, packed, norms, x, ...attrs }, places, attrs),
  reference: ({ packed, norms, x, ...places }, attrs, out) =>
    runKvQuantize("kv_quantize", [{ names: single, packed, norms, x, ...attrs, out }], places, attrs),
  samples: kvQuantizeSamples,
});

interface PairOperands<V> {
  readonly kPacked: V;
  readonly kNorms: V;
  readonly vPacked: V;
  readonly vNorms: V;
  readonly k: V;
  readonly v: V;
}
interface PairAttrs {
  readonly kCodec: string;
  readonly vCodec: string;
  readonly headDim: number;
  readonly valueDim?: number | undefined;
}
function pairs<V>(
  { kPacked, kNorms, vPacked, vNorms, k, v }: PairOperands<V>,
  { kCodec, vCodec, headDim, valueDim = headDim }: PairAttrs,
): { k: KvQuantized<V>; v: KvQuantized<V> } {
  return {
    k: { names: keys, packed: kPacked, norms: kNorms, x: k, codec: kCodec, headDim },
    v: { names: values, packed: vPacked, norms: vNorms, x: v, codec: vCodec, headDim: valueDim },
  };
}

export const kvQuantizePair = defineOp({
  name: "kv_quantize_pair",
  doc:
    "kv_quantize of K and V at the same places, as one step: both are checked before either is written. Codecs, heads and capacities may differ; valueDim: " +
    "the head dim of V, default headDim.",
  inputs: [
    input("kPacked", "int"),
    input("kNorms", "float"),
    input("vPacked", "int"),
    input("vNorms", "float"),
    input("k", "float"),
    input("v", "float"),
    ...kvPlaces,
  ],
  attrs: {
    kCodec: attr.string.required,
    vCodec: attr.string.required,
    headDim: attr.int.required,
    valueDim: attr.int.optional,
    ...kvPlaceAttrs,
  },
  outputs: ["kPacked", "kNorms", "vPacked", "vNorms"],
  traits: { writes: ["kPacked", "kNorms", "vPacked", "vNorms"] },
  infer: ({ kPacked, kNorms, vPacked, vNorms, k, v, ...places }, attrs) => {
    const both = pairs({ kPacked, kNorms, vPacked, vNorms, k, v }, attrs);
    inferKvQuantize("kv_quantize_pair", both.k, places, attrs);
    inferKvQuantize("kv_quantize_pair", both.v, places, attrs);
    return { kPacked, kNorms, vPacked, vNorms };
  },
  reference: ({ kPacked, kNorms, vPacked, vNorms, k, v, ...places }, attrs, out) => {
    const both = pairs({ kPacked, kNorms, vPacked, vNorms, k, v }, attrs);
    const targets = [
      { ...both.k, out: { packed: out.kPacked, norms: out.kNorms } },
      { ...both.v, out: { packed: out.vPacked, norms: out.vNorms } },
    ];
    runKvQuantize("kv_quantize_pair", targets, places, attrs);
  },
  samples: kvQuantizePairSamples,
});
