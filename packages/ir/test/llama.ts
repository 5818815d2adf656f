import {
  type DType,
  defineHir,
  dim,
  type HirBuilder,
  type HirModule,
  type HirValue,
  type KvFormat,
  type ParamTypes,
  Rng,
  randomTensor,
  Tensor,
} from "@rlxjs/ir";

/** A small Llama, written as a family would be: two layers, grouped heads, and a tied output embedding. */
export const config = { vocab: 48, hidden: 32, layers: 2, heads: 4, kvHeads: 2, headDim: 8, ffn: 64, eps: 1e-5, capacity: 16 };

export interface LlamaOptions {
  /** With a KV cache; without: one pass over the whole sequence. */
  readonly cache?: {
    readonly kFormat: KvFormat;
    readonly vFormat?: KvFormat;
    readonly layout: "token" | "head";
    readonly ring?: boolean;
    /** Default: the config's. */
    readonly capacity?: number;
  };
  readonly window?: number;
  /** Most tokens of a run. */
  readonly tokens?: number;
}

export function llama({ cache, window, tokens = config.capacity }: LlamaOptions = {}): HirModule {
  const { layers, heads, kvHeads, headDim, eps, capacity } = config;
  return defineHir("llama", (h) => {
    const seq = dim("seq", { min: 1, max: tokens });
    const ids = h.input("ids", "i32", [1, seq]);
    const pos = h.input("pos", "i32", []);
    const freqs = Array.from({ length: headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / headDim));
    const rope = h.ropeTables(ids, h.constant(Tensor.from("f32", [headDim / 2], freqs)), { pos });
    let x = h.embedding(ids, { weight: "embed" });
    for (let i = 0; i < layers; i++)
      x = h.scope(`layers.${i}`, () => {
        const attended = h.attention(h.rmsNorm(x, { weight: `${i}.norm1`, eps }), {
          ...rope,
          pos,
          q: `${i}.q`,
          k: `${i}.k`,
          v: `${i}.v`,
          o: `${i}.o`,
          numHeads: heads,
          numKvHeads: kvHeads,
          headDim,
          window,
          ...(cache ? { pastK: `past_k_${i}`, pastV: `past_v_${i}`, capacity, ...cache } : {}),
        });
        const { sum, normed } = h.residualRmsNorm(attended, x, { weight: `${i}.norm2`, eps });
        return h.ops.add(sum, h.swiglu(normed, { gate: `${i}.gate`, up: `${i}.up`, down: `${i}.down` }));
      });
    return { logits: head(h, x) };
  });
}

const head = (h: HirBuilder, x: HirValue): HirValue => h.lmHead(h.rmsNorm(x, { weight: "norm", eps: config.eps }), { weight: "embed" });

/** Random weights; matrices in `dtype`, norms in f32. */
export function llamaWeights(seed: number, dtype: DType = "f32"): Map<string, Tensor> {
  const { vocab, hidden, layers, heads, kvHeads, headDim, ffn } = config;
  const rng = new Rng(seed);
  const weights = new Map<string, Tensor>();
  const matrix = (name: string, n: number, k: number) => weights.set(name, randomTensor(rng, dtype, [n, k], 1 / Math.sqrt(k)));
  const norm = (name: string) =>
    weights.set(
      name,
      Tensor.from(
        "f32",
        [hidden],
        rng.normals(hidden).map((v) => 1 + 0.1 * v),
      ),
    );
  matrix("embed", vocab, hidden);
  norm("norm");
  for (let i = 0; i < layers; i++) {
    norm(`${i}.norm1`);
    norm(`${i}.norm2`);
    matrix(`${i}.q`, heads * headDim, hidden);
    matrix(`${i}.k`, kvHeads * headDim, hidden);
    matrix(`${i}.v`, kvHeads * headDim, hidden);
    matrix(`${i}.o`, hidden, heads * headDim);
    matrix(`${i}.gate`, ffn, hidden);
    matrix(`${i}.up`, ffn, hidden);
    matrix(`${i}.down`, hidden, ffn);
  }
  return weights;
}

export const typesOf =
  (weights: ReadonlyMap<string, Tensor>): ParamTypes =>
  (name) =>
    weights.get(name);

type Matrix = number[][];

/** The same model in plain arrays and doubles, with nothing shared: the oracle. */
export function plainLlama(weights: ReadonlyMap<string, Tensor>, ids: readonly number[], window = Number.POSITIVE_INFINITY): Matrix {
  const { layers, heads, kvHeads, headDim, eps, hidden } = config;
  const rows = (name: string): Matrix => {
    const t = weights.get(name);
    const width = t?.shape.at(-1) ?? 1;
    const flat = t?.toArray() ?? [];
    return Array.from({ length: flat.length / width }, (_, r) => flat.slice(r * width, (r + 1) * width));
  };
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((s, v, i) => s + v * (b[i] ?? 0), 0);
  const times = (x: Matrix, w: Matrix): Matrix => x.map((row) => w.map((col) => dot(row, col)));
  const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, r) => row.map((v, c) => v + (b[r]?.[c] ?? 0)));
  const norm = (x: Matrix, name: string): Matrix => {
    const [w = []] = rows(name);
    return x.map((row) => row.map((v, i) => (v / Math.sqrt(dot(row, row) / hidden + eps)) * (w[i] ?? 0)));
  };
  const rotate = (x: Matrix): Matrix =>
    x.map((row, p) =>
      row.map((v, c) => {
        const half = headDim / 2;
        const d = c % headDim;
        const angle = p * 10000 ** ((-2 * (d % half)) / headDim);
        const pair = d < half ? -(row[c + half] ?? 0) : (row[c - half] ?? 0);
        return v * Math.cos(angle) + pair * Math.sin(angle);
      }),
    );
  const part = (x: Matrix, h: number): Matrix => x.map((row) => row.slice(h * headDim, (h + 1) * headDim));
  const embed = rows("embed");
  let x = ids.map((id) => embed[id] ?? []);
  for (let i = 0; i < layers; i++) {
    const normed = norm(x, `${i}.norm1`);
    const [q, k, v] = [rotate(times(normed, rows(`${i}.q`))), rotate(times(normed, rows(`${i}.k`))), times(normed, rows(`${i}.v`))];
    const out: Matrix = x.map(() => []);
    for (let h = 0; h < heads; h++) {
      const kv = Math.floor((h * kvHeads) / heads);
      const scores = times(part(q, h), part(k, kv));
      for (const [p, row] of scores.entries()) {
        const e = row.map((s, j) => (j <= p && j > p - window ? Math.exp(s / Math.sqrt(headDim)) : 0));
        const total = e.reduce((a, b) => a + b, 0);
        for (let d = 0; d < headDim; d++) out[p]?.push(e.reduce((s, w, j) => s + (w / total) * (part(v, kv)[j]?.[d] ?? 0), 0));
      }
    }
    x = plus(x, times(out, rows(`${i}.o`)));
    const inner = norm(x, `${i}.norm2`);
    const up = times(inner, rows(`${i}.up`));
    const gated = times(inner, rows(`${i}.gate`)).map((row, r) => row.map((g, c) => (g / (1 + Math.exp(-g))) * (up[r]?.[c] ?? 0)));
    x = plus(x, times(gated, rows(`${i}.down`)));
  }
  return times(norm(x, "norm"), embed);
}
