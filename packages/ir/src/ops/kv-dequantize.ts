import { mulDims } from "../dim.ts";
import { RunError } from "../errors.ts";
import { decodeKvVector } from "../kv-codec/codec.ts";
import { kvCodecNamed } from "../kv-codec/format.ts";
import { fwhtThenSign } from "../kv-codec/hadamard.ts";
import { attr, defineOp, input } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { eachVector, expectElements, type KvPlaces, planKvWrite } from "./kv-plan.ts";
import { inferKvStore, type KvStore, vectorOf } from "./kv-quantize-rules.ts";
import { kvDequantizeSamples } from "./kv-quantize-samples.ts";
import { expectShape } from "./rules.ts";

const op = "kv_dequantize";
const names = { packed: "packed", norms: "norms", codec: "codec" };

/** What is read of a store. */
export interface KvRead {
  readonly codec: string;
  readonly headDim: number;
  readonly domain: "rotated" | "plain";
  readonly layout: "token" | "head";
  readonly ring: boolean;
}

/**
 * Decode the positions from `at.pos` on into out f32 [B, tokens, H*D].
 * @throws RunError for positions that the cache does not have.
 */
export function decodeStore(
  op: string,
  store: KvStore<Tensor>,
  at: Pick<KvPlaces<Tensor>, "pos" | "names">,
  attrs: KvRead,
  out: Tensor,
): void {
  const { headDim, layout, ring } = attrs;
  const extents = inferKvStore(op, names, store, attrs);
  const [rows, heads, capacity] = [Number(extents.sequences), Number(extents.heads), Number(extents.capacity)];
  const [, tokens = 0] = out.shape;
  if (rows * heads > 0 && tokens > capacity)
    throw new RunError(op, `${at.names?.tokens ?? "tokens"}: expected at most the ${capacity} slots of packed, got ${tokens}`);
  const sizes = { cache: names.packed, sequences: rows, capacity, rows, tokens, width: heads };
  const runs = planKvWrite(op, sizes, at, { ring, trim: false });
  const codec = kvCodecNamed(op, names.codec, attrs.codec, headDim);
  const values = new Float32Array(out.data.buffer, out.data.byteOffset, out.size);
  eachVector(runs, { order: layout, heads, slots: capacity }, { order: "token", heads, slots: tokens }, (from, to) => {
    const vector = vectorOf(codec, store, from);
    decodeKvVector(codec, vector.packed, vector.norms, values.subarray(to * headDim, (to + 1) * headDim));
  });
  if (attrs.domain === "plain") fwhtThenSign(values, headDim);
}

export const kvDequantize = defineOp({
  name: op,
  doc:
    "Decodes `tokens` tokens from position pos (int [] or [B]) on of a quantized cache (see kv_quantize): f32 [B, tokens, H*D], in the rotated domain, or " +
    "with domain plain rotated back. ring: position p lies in slot p mod cap.",
  inputs: [input("packed", "int"), input("norms", "float"), input("pos", "int")],
  attrs: {
    codec: attr.string.required,
    headDim: attr.int.required,
    tokens: attr.dim.default(1),
    domain: attr.oneOf("rotated", "plain"),
    layout: attr.oneOf("token", "head"),
    ring: attr.bool.default(false),
  },
  infer: ({ packed, norms, pos }, attrs) => {
    const { sequences, heads } = inferKvStore(op, names, { packed, norms }, attrs);
    if (pos.shape.length > 0) expectShape(op, "pos", pos, [sequences]);
    const out = { dtype: "f32" as const, shape: [sequences, attrs.tokens, mulDims(heads, attrs.headDim)] };
    expectElements(op, "out", out);
    return out;
  },
  reference: ({ packed, norms, pos }, attrs, out) => decodeStore(op, { packed, norms }, { pos }, attrs, out),
  samples: kvDequantizeSamples,
});
