import { RunError } from "../errors.ts";
import { decodeKvVector } from "../kv-codec/codec.ts";
import { kvCodecNamed } from "../kv-codec/format.ts";
import { hadamardMatrix, hadamardSigns } from "../kv-codec/hadamard.ts";
import type { Tensor } from "../tensor.ts";
import { type AttentionOperands, rowWidth } from "./attention-shape.ts";
import type { Floats } from "./rules.ts";

/** Keys or values as numbers: head vector `index` begins at index * width. */
export interface KvRows {
  readonly values: Floats;
  readonly width: number;
  /** Of quantized vectors, which are in the rotated domain. */
  readonly rotation?: Rotation;
}

/** A cache operand; the vectors of a codec decoded. */
export function kvRows(t: Tensor, norms: Tensor | undefined, codecName: string | undefined, dim: number): KvRows {
  if (codecName === undefined || !norms) return { values: t.values(), width: rowWidth(t.dtype, dim) };
  const codec = kvCodecNamed("attention", "codec", codecName, dim);
  const packed = t.bytes;
  const scales = Float32Array.from(norms.values());
  const rows = packed.length / codec.packedBytes;
  const values = new Float32Array(rows * dim);
  for (let r = 0; r < rows; r++)
    decodeKvVector(
      codec,
      packed.subarray(r * codec.packedBytes, (r + 1) * codec.packedBytes),
      scales.subarray(r * codec.norms, (r + 1) * codec.norms),
      values.subarray(r * dim, (r + 1) * dim),
    );
  return { values, width: dim, rotation: rotationOf(dim) };
}

/** The rotation of the codecs as a matrix [n, n], in f64. */
export interface Rotation {
  readonly n: number;
  readonly entries: Float64Array;
}

const rotations = new Map<number, Rotation>();

/** By definition: the Hadamard matrix over the square root of n, its columns with the signs of the diagonal. */
function rotationOf(n: number): Rotation {
  const known = rotations.get(n);
  if (known) return known;
  const signs = hadamardSigns(n);
  const { order, entries: outer } = hadamardMatrix(n) ?? { order: 1, entries: Int8Array.of(1) };
  const run = n / order;
  const entries = Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    const across = outer[Math.floor(i / run) * order + Math.floor(j / run)] ?? 1;
    const inside = parity((i % run) & (j % run)) ? -1 : 1;
    const sign = ((signs[j >> 3] ?? 0) >> (j & 7)) & 1 ? -1 : 1;
    return (across * inside * sign) / Math.sqrt(n);
  });
  const rotation = { n, entries };
  rotations.set(n, rotation);
  return rotation;
}

function parity(bits: number): number {
  let p = 0;
  for (let b = bits; b !== 0; b &= b - 1) p ^= 1;
  return p;
}

/** x [n] from `at` on, rotated. */
export function rotated({ n, entries }: Rotation, x: Floats, at: number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (entries[i * n + j] ?? 0) * (x[at + j] ?? 0);
    return sum;
  });
}

/** y [n] rotated back: the matrix is orthogonal, so its transpose is its inverse. */
export function rotatedBack({ n, entries }: Rotation, y: Floats): Float64Array {
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[j] = (out[j] ?? 0) + (entries[i * n + j] ?? 0) * (y[i] ?? 0);
  return out;
}

/** Where the keys of each batch row lie, in numbers that have been checked. */
export interface Placement {
  /** How many keys there are. */
  readonly length: number;
  /** Position of the first query, counted from the oldest key. */
  readonly start: number;
  /** Slot of the oldest key. */
  readonly first: number;
  /** Which sequence of the cache. */
  readonly sequence: number;
}

/** Bound of query positions, on every backend. */
const farthest = 2 ** 53;

/** @throws RunError for lengths, ring starts and slots that the cache does not have, and positions that are too far. */
export function placements(
  { q, k, qPos, kvLen, ringStart, slots }: AttentionOperands<Tensor>,
  kvLayout: "token" | "head",
): { readonly capacity: number; readonly rows: readonly Placement[] } {
  const [batch = 0, sq = 0] = q.shape;
  const capacity = k.shape[kvLayout === "token" ? 1 : 2] ?? 0;
  const sequences = k.shape[0] ?? 0;
  const rows = Array.from({ length: batch }, (_, b): Placement => {
    const at = (name: string, t: Tensor | undefined, otherwise: number, least: number, most: number): number => {
      const value = t?.getInt(t.shape.length === 0 ? 0 : b) ?? BigInt(otherwise);
      if (value < least || value > most)
        throw new RunError("attention", `${name} of sequence ${b}: expected ${least} to ${most}, got ${value}`);
      return Number(value);
    };
    const length = at("kvLen", kvLen, capacity, 0, capacity);
    const first = at("ringStart", ringStart, 0, 0, Math.max(0, capacity - 1));
    const start = at("qPos", qPos, length - sq, -farthest, farthest);
    return { length, start, first, sequence: at("slots", slots, b, 0, sequences - 1) };
  });
  return { capacity, rows };
}

/** The largest L2 norm of a head vector, and the largest absolute value; what is not finite does not count. */
export function peaks({ values, width }: Pick<KvRows, "values" | "width">): { readonly l2: number; readonly absolute: number } {
  let [l2, absolute] = [0, 0];
  for (let at = 0; at < values.length; at += width) {
    let sum = 0;
    for (let d = 0; d < width; d++) {
      const v = Math.abs(values[at + d] ?? 0);
      if (!Number.isFinite(v)) continue;
      absolute = Math.max(absolute, v);
      sum += v * v;
    }
    l2 = Math.max(l2, Math.sqrt(sum));
  }
  return { l2, absolute };
}
