import {
  type Dim,
  defineHir,
  dim,
  type Graph,
  type HirBuilder,
  type HirModule,
  type HirValue,
  lowerHir,
  Rng,
  randomTensor,
  Tensor,
} from "@rlxjs/ir";
import { pastKvInputNames } from "../../src/index.ts";

const [vocab, hidden, ffn, heads, headDim, eps] = [16, 16, 32, 4, 8, 1e-6];

/** How a graph of the tiny model keeps its past. */
export interface TinyForm {
  /** `full`: no past; `none`: the same with keys and values as outputs. `padded`: inputs of a fixed extent and a mask. `unmasked`: the same without one. `symbolic`: inputs of any extent. `state`: states. */
  readonly past: "full" | "none" | "padded" | "unmasked" | "symbolic" | "state";
  /** Key and value heads per layer. */
  readonly kvHeads: readonly number[];
  readonly batch: Dim;
  /** Tokens per run. Default 1. */
  readonly rows?: Dim;
  /** Keys that a query sees. */
  readonly window?: number;
  readonly layout?: "token" | "head";
  /** How states keep rows: a KvFormat. */
  readonly format?: string;
}

export const kvDimsOf = (kvHeads: readonly number[]): number[] => kvHeads.map((n) => n * headDim);
export const tinyVocab: number = vocab;

/** A decoder with grouped heads, norms per head, RoPE and a gated feed-forward layer; `upper` is the extent of the past. */
export function tinyModel(upper: number, { past, kvHeads, batch, rows = 1, window, layout = "head", format = "f32" }: TinyForm): HirModule {
  return defineHir(`tiny.${past}.${upper}`, (h) => {
    const ids = h.input("input_ids", "i32", [batch, rows]);
    const pos = h.input("pos", "i32", []);
    const freqs = Tensor.from(
      "f32",
      [headDim / 2],
      Array.from({ length: headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / headDim)),
    );
    const rope = h.ropeTables(ids, h.constant(freqs), { pos });
    const extent = past === "symbolic" ? dim("past", { min: 0, max: upper }) : upper;
    const inputs = past === "full" || past === "none" || past === "state" ? [] : pastKvInputNames(kvHeads.length);
    const pasts = inputs.map((name, i) => h.input(name, "f32", [batch, extent, (kvHeads[i >> 1] ?? 0) * headDim]));
    const mask = past === "padded" ? h.input("mask", "bool", [batch, upper + Number(rows)]) : undefined;
    const rowsOut: [string, HirValue][] = [];
    let x = h.embedding(ids, { weight: "embed" });
    kvHeads.forEach((numKvHeads, i) => {
      // Where padding lies between, a key's index is not its position: the mask has to know the window.
      const shape = { numHeads: heads, numKvHeads, headDim, causal: true, window: past === "padded" ? undefined : window };
      const normed = h.rmsNorm(x, { weight: `${i}.norm1`, eps });
      const names = { q: `${i}.q`, k: `${i}.k`, v: `${i}.v`, o: `${i}.o`, qNorm: `${i}.qnorm`, kNorm: `${i}.knorm`, normEps: eps };
      const cached = { pos, pastK: `past_k_${i}`, pastV: `past_v_${i}`, capacity: upper, layout, kFormat: format };
      let attended: HirValue;
      if (past === "full") attended = h.attention(normed, { ...names, ...shape, ...rope });
      else if (past === "state") attended = h.attention(normed, { ...names, ...shape, ...rope, ...cached });
      else {
        const project = (w: string, norm: string | undefined, n: number) => {
          const y = h.linear(normed, { weight: `${i}.${w}` });
          if (norm === undefined) return y;
          const perHead = h.rmsNorm(h.ops.reshape(y, { shape: [batch, rows, n, headDim] }), { weight: `${i}.${norm}`, eps });
          return h.ops.rope(h.ops.reshape(perHead, { shape: [batch, rows, n * headDim] }), rope.cos, rope.sin, { headDim });
        };
        const [k, v] = [project("k", "knorm", numKvHeads), project("v", undefined, numKvHeads)].map((y, j) =>
          past === "none" ? y : h.ops.concat([pasts[2 * i + j] ?? y, y], { axis: 1 }),
        ) as [HirValue, HirValue];
        rowsOut.push([`k_${i}`, k], [`v_${i}`, v]);
        const masked = mask ? { mask, maskKind: "keep" as const } : {};
        attended = h.linear(h.ops.attention(project("q", "qnorm", heads), k, v, { ...shape, ...masked }), { weight: `${i}.o` });
      }
      x = feedForward(h, h.ops.add(x, attended), i);
    });
    const logits = h.lmHead(h.rmsNorm(x, { weight: "norm", eps }), { weight: "embed" });
    return { logits, ...Object.fromEntries(rowsOut), next: h.ops.argmax(logits, { axis: -1 }) };
  });
}

/** A prefill graph: no past, keys and values of the prompt as outputs. */
export const prefillModel = (seq: Dim, form: Pick<TinyForm, "kvHeads" | "batch">): HirModule =>
  tinyModel(1, { ...form, past: "none", rows: seq });

function feedForward(h: HirBuilder, x: HirValue, i: number): HirValue {
  const normed = h.rmsNorm(x, { weight: `${i}.norm2`, eps });
  return h.ops.add(x, h.swiglu(normed, { gate: `${i}.gate`, up: `${i}.up`, down: `${i}.down` }));
}

/** Deterministic weights for these numbers of key and value heads. */
export function tinyWeights(kvHeads: readonly number[]): Record<string, Tensor> {
  const rng = new Rng(17);
  const matrix = (n: number, k: number) => randomTensor(rng, "f32", [n, k], 1.5 / Math.sqrt(k));
  const norm = (n: number) =>
    Tensor.from(
      "f32",
      [n],
      rng.normals(n).map((v) => 1 + 0.1 * v),
    );
  const weights: Record<string, Tensor> = { embed: matrix(vocab, hidden), norm: norm(hidden) };
  for (const [i, n] of kvHeads.entries())
    Object.assign(weights, {
      [`${i}.norm1`]: norm(hidden),
      [`${i}.norm2`]: norm(hidden),
      [`${i}.qnorm`]: norm(headDim),
      [`${i}.knorm`]: norm(headDim),
      [`${i}.q`]: matrix(heads * headDim, hidden),
      [`${i}.k`]: matrix(n * headDim, hidden),
      [`${i}.v`]: matrix(n * headDim, hidden),
      [`${i}.o`]: matrix(hidden, heads * headDim),
      [`${i}.gate`]: matrix(ffn, hidden),
      [`${i}.up`]: matrix(ffn, hidden),
      [`${i}.down`]: matrix(hidden, ffn),
    });
  return weights;
}

/** The same as a graph. */
export const tinyGraph = (upper: number, form: TinyForm, weights: Readonly<Record<string, Tensor>>): Graph =>
  lowerHir(tinyModel(upper, form), (name) => weights[name]);
