import { encodeKvVector, errorBound, type KvFormat, kvFormatCodec, kvFormats, ops, q8Dim, Rng, runReference, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { integer, type Operands, runKernel, type TwoWays } from "./attention-problem.ts";

const [capacity, kvHeads, heads] = [290, 2, 6];
const dimOf = (format: KvFormat): number => (format.startsWith("mlx") ? 256 : 80);

interface Side {
  readonly data: Tensor;
  readonly norms?: Tensor;
}
/** Random vectors [1, kvHeads, capacity] in a format; the two layouts have the same bytes here but for their order. */
function side(rng: Rng, format: KvFormat, layout: "token" | "head"): Side {
  const dim = dimOf(format);
  const shape = (width: number): number[] => (layout === "token" ? [1, capacity, kvHeads * width] : [1, kvHeads, capacity, width]);
  const codec = kvFormatCodec(format, dim);
  const count = kvHeads * capacity;
  const x = Float32Array.from(rng.normals(count * dim));
  if (!codec) {
    const width = format === "q8_0" ? q8Dim(dim) : dim;
    const padded = new Float32Array(count * width);
    for (let i = 0; i < count; i++) padded.set(x.subarray(i * dim, (i + 1) * dim), i * width);
    return { data: Tensor.from(format as "f32", shape(width), padded) };
  }
  const [data, norms] = [Tensor.zeros("u8", shape(codec.packedBytes)), new Float32Array(count * codec.norms)];
  for (let i = 0; i < count; i++) {
    const packed = data.bytes.subarray(i * codec.packedBytes, (i + 1) * codec.packedBytes);
    encodeKvVector(codec, x.subarray(i * dim, (i + 1) * dim), packed, norms.subarray(i * codec.norms, (i + 1) * codec.norms));
  }
  return { data, norms: Tensor.from("f32", shape(codec.norms), norms) };
}

interface Call {
  readonly name: string;
  readonly operands: Operands;
  readonly attrs: Parameters<typeof runKernel>[2];
}
const queries = 12; // times 3 heads to a key head: more rows than one task takes
const start = 270;
const rng = new Rng(5);
// 5, 6 and 8 bits of mlx-native-v1 are all a byte each.
const formats = kvFormats.filter((f) => f !== "mlx-native-v1:5" && f !== "mlx-native-v1:6");
const calls = formats.flatMap((format) =>
  (["token", "head"] as const).map((layout): Call => {
    const [k, v] = [side(rng, format, layout), side(rng, format, layout)];
    const headDim = dimOf(format);
    const codec = k.norms ? { kCodec: format, vCodec: format } : {};
    return {
      name: `${format}, ${layout}-major`,
      operands: {
        q: Tensor.from("f32", [1, queries, heads * headDim], rng.normals(queries * heads * headDim)),
        k: k.data,
        v: v.data,
        kNorms: k.norms,
        vNorms: v.norms,
        ringStart: integer(155),
        kvLen: integer(start + queries),
        qPos: integer(start),
      },
      attrs: { numHeads: heads, numKvHeads: kvHeads, headDim, kvLayout: layout, causal: true, window: 275, ...codec },
    };
  }),
);

interface Reference {
  readonly expected: Tensor;
  readonly bound: Float64Array;
}
const references = new Map<Call, Reference>();
/** The specification's result and how far from it a kernel may be, once for all devices. */
function referenceOf(call: Call): Reference {
  const { operands, attrs } = call;
  const slots = ops.attention.inputs.map(({ name }) => operands[name as keyof Operands]);
  const full = { maskKind: "none", ...attrs };
  const expected = Tensor.zeros("f32", [1, queries, heads * Number(attrs.headDim)]);
  let reference = references.get(call);
  if (!reference) {
    runReference(ops.attention, slots, full, [expected]);
    reference = { expected, bound: errorBound(ops.attention, slots, full, [expected]) };
    references.set(call, reference);
  }
  return reference;
}

/** Every format in both layouts, prefill and decode over a ring with a window. */
export function attentionFormatsSuite({ one, two, sameAlone }: TwoWays): void {
  test.each(calls)("$name: within the bound; the same bits both ways, alone as among others where the device says so", (call) => {
    const { operands, attrs } = call;
    const all = runKernel(one(), operands, attrs);
    const { expected, bound } = referenceOf(call);
    const width = operands.q.shape[2] ?? 1;
    /** The first of the values of queries from `first` on that is too far off. */
    const outside = (y: Tensor, first: number): number =>
      Array.from(y.values()).findIndex((value, i) => {
        const at = first * width + i;
        return !(Math.abs(value - expected.get(at)) <= (bound[at] ?? 0));
      });
    expect(outside(all, 0)).toBe(-1);
    expect(runKernel(two(), operands, attrs).bytes).toEqual(all.bytes);
    for (const [i, backend] of [
      [0, one()],
      [queries - 1, two()],
    ] as const) {
      const q = Tensor.fromBytes("f32", [1, 1, width], operands.q.bytes.slice(i * width * 4, (i + 1) * width * 4));
      // As in decoding: the cache holds no later key yet.
      const row = runKernel(backend, { ...operands, q, qPos: integer(start + i), kvLen: integer(start + i + 1) }, attrs);
      expect(outside(row, i)).toBe(-1);
      if (sameAlone) expect(row.bytes).toEqual(all.bytes.slice(i * width * 4, (i + 1) * width * 4));
    }
  });
}
