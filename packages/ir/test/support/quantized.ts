import { type AttrRecord, checkAttrs, encodeKvVector, type KvCodec, kvBits, kvCodec, kvCodecIds, kvHeadDims, ops, Tensor } from "@rlxjs/ir";
import type { AnyOpDef } from "@rlxjs/ir";
import { guarded } from "./kv-model.ts";

/** Runs an op on tensors by slot: what it writes is written in place, other results go to `outs`. Throws what the op finds wrong. */
export type RunInto = (def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord, outs?: readonly Tensor[]) => void;

export const allCodecs: readonly KvCodec[] = kvCodecIds.flatMap((id) =>
  kvHeadDims[id].flatMap((d) => kvBits.map((bits) => kvCodec(id, bits, d))),
);
export const codecText = ({ id, bits }: KvCodec): string => `${id}:${bits}`;
export const titled = (codecs: readonly KvCodec[]) => codecs.map((c) => [`${codecText(c)}, headDim ${c.headDim}`, c] as const);
export const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
export const floats = (t: Tensor): Float32Array => new Float32Array(t.data.buffer, t.data.byteOffset, t.size);

export interface Extents {
  readonly layout: "token" | "head";
  readonly batch: number;
  readonly heads: number;
  readonly capacity: number;
}

/** A quantized cache of zeros between canaries. */
export class Store {
  readonly codec: KvCodec;
  readonly extents: Extents;
  readonly packed: Tensor;
  readonly norms: Tensor;
  readonly intact: () => boolean;

  constructor(codec: KvCodec, extents: Partial<Extents> = {}) {
    const all = { layout: "head" as const, batch: 1, heads: 1, capacity: 1, ...extents };
    const { layout, batch, heads, capacity } = all;
    const shape = (each: number): number[] => (layout === "token" ? [batch, capacity, heads * each] : [batch, heads, capacity, each]);
    const [packed, norms] = [guarded("u8", shape(codec.packedBytes)), guarded("f32", shape(codec.norms))];
    this.codec = codec;
    this.extents = all;
    this.packed = packed.tensor;
    this.norms = norms.tensor;
    this.intact = () => packed.intact() && norms.intact();
  }
  /** Codes and norms, over this memory. */
  vector(sequence: number, slot: number, head: number): { packed: Uint8Array; norms: Float32Array } {
    const { layout, heads, capacity } = this.extents;
    const at = layout === "token" ? (sequence * capacity + slot) * heads + head : (sequence * heads + head) * capacity + slot;
    const { packedBytes, norms } = this.codec;
    return {
      packed: this.packed.bytes.subarray(at * packedBytes, (at + 1) * packedBytes),
      norms: floats(this.norms).subarray(at * norms, (at + 1) * norms),
    };
  }
  /** What the specification puts into one vector. */
  encode(sequence: number, slot: number, head: number, x: Float32Array): void {
    const { packed, norms } = this.vector(sequence, slot, head);
    encodeKvVector(this.codec, x, packed, norms);
  }
  copy(): { packed: Uint8Array; norms: Uint8Array } {
    return { packed: this.packed.bytes.slice(), norms: this.norms.bytes.slice() };
  }
}

/** NaN is written with one set of bits, so stores can be compared byte by byte. */
export const sameBytes = (a: Store, b: Store): boolean =>
  Buffer.compare(a.packed.bytes, b.packed.bytes) === 0 && Buffer.compare(a.norms.bytes, b.norms.bytes) === 0;

export interface Places {
  readonly pos: Tensor;
  readonly slots?: Tensor;
  readonly tokens?: Tensor;
  readonly srcTokOffset?: Tensor;
}
interface Flags {
  readonly xLayout?: "token" | "head";
  readonly ring?: boolean;
  readonly trim?: boolean;
}
const call = (
  run: RunInto,
  def: AnyOpDef,
  operands: readonly Tensor[],
  { pos, slots, tokens, srcTokOffset }: Places,
  attrs: AttrRecord,
): void => run(def, [...operands, pos, slots, tokens, srcTokOffset], checkAttrs(def, attrs));

/** kv_quantize into a store. */
export function quantize(run: RunInto, store: Store, x: Tensor, places: Places, flags: Flags = {}): void {
  const { codec, extents } = store;
  const attrs = { codec: codecText(codec), headDim: codec.headDim, layout: extents.layout, ...flags };
  call(run, ops.kvQuantize, [store.packed, store.norms, x], places, attrs);
}

/** kv_quantize_pair into two stores of one layout. */
export function quantizePair(
  run: RunInto,
  [k, v]: readonly [Store, Store],
  [x, y]: readonly [Tensor, Tensor],
  places: Places,
  flags: Flags = {},
): void {
  const codecs = { kCodec: codecText(k.codec), vCodec: codecText(v.codec), headDim: k.codec.headDim, valueDim: v.codec.headDim };
  call(run, ops.kvQuantizePair, [k.packed, k.norms, v.packed, v.norms, x, y], places, { ...codecs, layout: k.extents.layout, ...flags });
}

/**
 * Normals as another generator makes them: a 64-bit linear congruential one, Box-Muller in f32. Its pairs are those of mlx-native's tests of 5, 6 and 8
 * bits.
 */
export function lcgGaussians(seed: number, count: number): Float32Array {
  const step = (v: bigint): bigint => BigInt.asUintN(64, v * 6364136223846793005n + 1442695040888963407n);
  let state = step(BigInt(seed));
  const uniform = (): number => {
    state = step(state);
    return Math.fround((Number(state >> 32n) + 0.5) / 2 ** 32);
  };
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const first = Math.min(Math.max(uniform(), 1e-7), 1 - 1e-7);
    const [r, angle] = [Math.fround(Math.sqrt(-2 * Math.log(first))), Math.fround(2 * Math.PI * uniform())];
    out[i] = r * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = r * Math.sin(angle);
  }
  return out;
}
