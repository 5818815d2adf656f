import { type AttrRecord, ops, Tensor } from "@rlxjs/ir";
import type { Backend } from "@rlxjs/runtime";
import { OneOp } from "../one-op.ts";

// Generators of published test cases, attention by its formula in double precision, and calls of the kernel.

const mask64 = (1n << 64n) - 1n;
const multiplier = 6364136223846793005n;
const increment = 1442695040888963407n;

/** A linear congruential generator of 64 bits; its upper 31 bits over 2^32 - 1, minus a half: in [-0.5, 0). */
export function lcg(seed: number, n: number): Float32Array {
  let state = BigInt(seed);
  return Float32Array.from({ length: n }, () => {
    state = (state * multiplier + increment) & mask64;
    return Math.fround(Math.fround(Number(state >> 33n)) / Math.fround(0xffffffff)) - 0.5;
  });
}

/** Element i is a hash of seed + i, in [-1, 1]. */
export function indexHash(seed: number, n: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => {
    const x = ((BigInt(seed) + BigInt(i)) * multiplier + increment) & mask64;
    return (Number((x >> 33n) & 0x7fffffn) / 0x7fffff) * 2 - 1;
  });
}

/** Normals by Box and Muller from the upper 32 bits of the same congruence. */
export function lcgNormals(seed: number): (n: number) => Float32Array {
  let state = (BigInt(seed) * multiplier + increment) & mask64;
  const uniform = (): number => {
    state = (state * multiplier + increment) & mask64;
    return Math.min(Math.max((Number(state >> 32n) + 0.5) / 2 ** 32, 1e-7), 1 - 1e-7);
  };
  return (n) => Float32Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

export interface Problem {
  readonly batch?: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dim: number;
  readonly queries: number;
  /** Keys. */
  readonly length: number;
  readonly capacity?: number;
  /** Position of the first query; default: the newest keys are those of the queries. */
  readonly start?: number;
  readonly ringStart?: number;
  readonly causal?: boolean;
  readonly window?: number;
  readonly scale?: number;
  readonly softcap?: number;
  /** Added to the score of key j for row i. */
  readonly bias?: (i: number, j: number) => number;
}

type Numbers = ArrayLike<number>;

/** Attention of q [B, Sq, H, D] over k, v [B, Hkv, capacity, D] in f64; rows that are not in `rows` stay zero. */
export function formula(p: Problem, q: Numbers, k: Numbers, v: Numbers, rows?: readonly number[]): Float64Array {
  const { batch = 1, heads, kvHeads, dim, queries, length, capacity = length, ringStart = 0, window = Number.POSITIVE_INFINITY } = p;
  const scale = p.scale ?? 1 / Math.sqrt(dim);
  const out = new Float64Array(batch * queries * heads * dim);
  for (let b = 0; b < batch; b++)
    for (const i of rows ?? Array.from({ length: queries }, (_, i) => i))
      for (let h = 0; h < heads; h++) {
        const position = (p.start ?? length - queries) + i;
        const at = ((b * queries + i) * heads + h) * dim;
        const kvHead = Math.floor((h * kvHeads) / heads);
        const row = (j: number): number => ((b * kvHeads + kvHead) * capacity + ((ringStart + j) % capacity)) * dim;
        const seen: { readonly at: number; readonly score: number }[] = [];
        for (let j = 0; j < length; j++) {
          const bias = p.bias?.(i, j) ?? 0;
          if ((p.causal && j > position) || j <= position - window || bias === Number.NEGATIVE_INFINITY) continue;
          let dot = 0;
          for (let d = 0; d < dim; d++) dot += Number(q[at + d]) * Number(k[row(j) + d]);
          const score = p.softcap === undefined ? dot * scale : p.softcap * Math.tanh((dot * scale) / p.softcap);
          seen.push({ at: row(j), score: score + bias });
        }
        const max = Math.max(...seen.map((s) => s.score));
        const weights = seen.map((s) => Math.exp(s.score - max));
        const total = weights.reduce((x, y) => x + y, 0);
        for (const [s, w] of weights.entries())
          for (let d = 0; d < dim; d++) out[at + d] = Number(out[at + d]) + (w / total) * Number(v[Number(seen[s]?.at) + d]);
      }
  return out;
}

/** A device in two ways that give the same bits: on other numbers of threads, or with threads in another order. */
export interface TwoWays {
  readonly one: () => Backend;
  readonly two: () => Backend;
  /** Whether a query has the same bits alone as among others. */
  readonly sameAlone: boolean;
}

export interface Operands {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly mask?: Tensor | undefined;
  readonly kvLen?: Tensor;
  readonly qPos?: Tensor;
  readonly ringStart?: Tensor;
  readonly slots?: Tensor;
  readonly kNorms?: Tensor | undefined;
  readonly vNorms?: Tensor | undefined;
}
export const integer = (n: number): Tensor => Tensor.from("i32", [], [n]);
export const integers = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);

/** `attention` with head-major caches as one native kernel. */
export function runKernel(backend: Backend, operands: Operands, attrs: AttrRecord): Tensor {
  const slots = ops.attention.inputs.map(({ name }) => operands[name as keyof Operands]);
  const all = { causal: false, maskKind: "none", kvLayout: "head", ...attrs };
  using op = new OneOp(backend, ops.attention, { name: "attention", slots, attrs: all });
  if (op.kernel !== "attention") throw new Error(`expected the kernel, got ${op.kernel}`);
  return op.runSync()[0] as Tensor;
}

/** The operands and attributes of a problem over float tensors. */
export function problemCall(p: Problem, q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): [Operands, AttrRecord] {
  const { heads, kvHeads, dim, length, queries, start = length - queries, ringStart, scale, softcap, window, causal = false } = p;
  const operands = { q, k, v, mask, kvLen: integer(length), qPos: integer(start) };
  const optional = Object.fromEntries(Object.entries({ scale, softcap, window }).filter(([, x]) => x !== undefined));
  return [
    { ...operands, ...(ringStart === undefined ? {} : { ringStart: integer(ringStart) }) },
    { numHeads: heads, numKvHeads: kvHeads, headDim: dim, causal, maskKind: mask ? "bias" : "none", ...optional } as AttrRecord,
  ];
}

/** Largest difference. */
export const farthest = (a: Numbers, b: Numbers): number =>
  Array.from(a).reduce((m, x, i) => {
    const d = Math.abs(x - Number(b[i]));
    return Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(m, d);
  }, 0);

/** Root of the mean square difference over that of the expected values. */
export function nrmse(got: Numbers, expected: Numbers): number {
  let [error, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (Number(got[i]) - Number(expected[i])) ** 2;
    size += Number(expected[i]) ** 2;
  }
  return Math.sqrt(error / size);
}
