import { addDims, type Dim, define, dim, type Graph, Rng, randomTensor, Tensor, type Value } from "@rlxjs/ir";
import { type BucketRange, BucketedCompileCache, type Session } from "@rlxjs/runtime";
import {
  type BlockModel,
  GpuKvCacheSet,
  KvCacheState,
  type KvMaskOptions,
  type MtpResult,
  pastKvInputNames,
  runBucketedKvDecode,
  runBucketedKvDecodeGpu,
  runBucketedKvMtp,
  runBucketedKvMtpGpu,
} from "../../src/index.ts";

const [width, heads, kvHeads, headDim, positions] = [16, 4, [2, 1], 8, 128];
export const blockVocab = 112;
/** Uppers 8, 16, 32 and 64; an empty past is in the first. */
export const blockBuckets: readonly BucketRange[] = [
  { start: 0, end: 9 },
  { start: 9, end: 17 },
  { start: 17, end: 33 },
  { start: 33, end: 65 },
];

export interface BlockForm {
  /** `padded`: inputs of a fixed extent; `symbolic`: of any; `state`: states. */
  readonly past: "padded" | "symbolic" | "state";
  readonly batch?: number;
  /** Tokens per run. Default: any number to 64. */
  readonly rows?: Dim;
}
export type Weights = Readonly<Record<string, Tensor>>;

/** A decoder without RoPE: places come from a table. `upper` is the room for the past; a bias says what every row sees. */
export function blockGraph(
  upper: number,
  { past, batch = 1, rows = dim("rows", { min: 1, max: 64 }) }: BlockForm,
  weights: Weights,
): Graph {
  return define(`block.${past}.${upper}`, (g) => {
    const w = (name: string): Value => {
      const { dtype, shape } = weights[name] ?? Tensor.zeros("f32", []);
      return g.param(name, dtype, shape);
    };
    const ids = g.input("input_ids", "i32", [batch, rows]);
    const places = g.input("positions", "i32", [batch, rows]);
    const extent = past === "symbolic" ? dim("past", { min: 0, max: upper }) : upper;
    const keys = past === "state" ? upper + 64 : addDims(extent, rows);
    const mask = g.input("mask", "f32", [batch, 1, rows, keys]);
    const pos = past === "state" ? g.input("pos", "i32", []) : undefined;
    const names = pastKvInputNames(kvHeads.length);
    const outputs: Record<string, Value> = {};
    let x = g.add(g.embedding(w("embed"), ids), g.embedding(w("places"), places));
    kvHeads.forEach((numKvHeads, i) => {
      const normed = g.rmsNorm(x, { weight: w(`${i}.norm`), eps: 1e-6 });
      const [k, v] = ["k", "v"].map((kind, j) => {
        const fresh = g.linear(normed, w(`${i}.${kind}`));
        const name = names[2 * i + j] ?? "";
        const shape = [batch, past === "state" ? upper + 64 : extent, numKvHeads * headDim];
        if (pos) return g.kvWrite(g.state(name, "f32", shape), fresh, pos);
        const all = g.concat([g.input(name, "f32", shape), fresh], { axis: 1 });
        outputs[`${kind}_${i}`] = all;
        return all;
      }) as [Value, Value];
      const attrs = { numHeads: heads, numKvHeads, headDim, maskKind: "bias" as const };
      const attended = g.attention(g.linear(normed, w(`${i}.q`)), k, v, { mask, ...attrs });
      x = g.add(x, g.linear(attended, w(`${i}.o`)));
    });
    const logits = g.add(g.linear(g.rmsNorm(x, { weight: w("norm"), eps: 1e-6 }), w("head")), g.embedding(w("script"), places));
    return { logits, ...outputs };
  });
}

/** Random weights. `script`: what is added to the logits at a place, for the token behind it; the model's own are of scale `voice`. */
export function blockWeights(script: (place: number, token: number) => number = () => 0, voice = 0.5): Weights {
  const rng = new Rng(5);
  const matrix = (n: number, k: number, scale = 1) => randomTensor(rng, "f32", [n, k], scale / Math.sqrt(k));
  const ones = (n: number) => Tensor.from("f32", [n], new Array(n).fill(1));
  const weights: Record<string, Tensor> = {
    embed: matrix(blockVocab, width, 2),
    places: matrix(positions, width),
    head: matrix(blockVocab, width, voice),
    norm: ones(width),
    script: Tensor.from(
      "f32",
      [positions, blockVocab],
      Array.from({ length: positions * blockVocab }, (_, i) => script(Math.floor(i / blockVocab), i % blockVocab)),
    ),
  };
  kvHeads.forEach((n, i) => {
    weights[`${i}.norm`] = ones(width);
    weights[`${i}.q`] = matrix(heads * headDim, width, 2);
    weights[`${i}.k`] = matrix(n * headDim, width, 2);
    weights[`${i}.v`] = matrix(n * headDim, width);
    weights[`${i}.o`] = matrix(width, heads * headDim);
  });
  return weights;
}

export interface BlockRunner extends Disposable {
  readonly kv: KvCacheState;
  /** Run tokens [batch, n] one behind the other; logits of all. They stay. */
  append(ids: readonly number[], signal?: AbortSignal): Promise<Tensor>;
  /** Run a block [batch, block] that begins with a copy of the last token. */
  block(ids: readonly number[], signal?: AbortSignal): Promise<MtpResult>;
}
export interface RunnerOptions extends Pick<BlockForm, "past" | "batch"> {
  readonly where: "host" | "resident";
  readonly block: number;
  readonly weights: Weights;
}

/** The model over one cache, with a graph for tokens and one for blocks. */
export function blockRunner(session: Session, { where, block, weights, past, batch = 1 }: RunnerOptions): BlockRunner {
  const kv = new KvCacheState({ batch, kvDims: kvHeads.map((n) => n * headDim) });
  const [tokens, blocks] = [new BucketedCompileCache(session, blockBuckets), new BucketedCompileCache(session, blockBuckets)];
  const bindings = new GpuKvCacheSet();
  const call = (ids: readonly number[], first: number, form: BlockForm, mask: KvMaskOptions, signal?: AbortSignal) => {
    const rows = ids.length / batch;
    return {
      kv,
      build: (upper: number) => ({ graph: blockGraph(upper, form, weights), params: weights }),
      inputs: { input_ids: Int32Array.from(ids), positions: Int32Array.from(ids, (_, i) => first + (i % rows)) },
      mask: { kind: "bias" as const, ...mask },
      ...(signal ? { signal } : {}),
    };
  };
  return {
    kv,
    async append(ids, signal) {
      const options = { ...call(ids, kv.pastLen, { past, batch }, {}, signal), cache: tokens };
      const step = where === "host" ? runBucketedKvDecode(options) : runBucketedKvDecodeGpu({ ...options, binding: bindings.decodeMtp });
      return (await step).logits;
    },
    block(ids, signal) {
      const form = { past, batch, rows: block };
      const options = { ...call(ids, kv.pastLen - 1, form, { newRows: "copied-block" }, signal), cache: blocks };
      return where === "host" ? runBucketedKvMtp(options) : runBucketedKvMtpGpu({ ...options, binding: bindings.mtp });
    },
    [Symbol.dispose]() {
      for (const part of [bindings, tokens, blocks]) part[Symbol.dispose]();
    },
  };
}

/** A runner of one sequence, for `decodeBlocks`. */
export function blockModel(runner: BlockRunner): BlockModel {
  const { kv } = runner;
  return {
    get pastLen() {
      return kv.pastLen;
    },
    capacity: 64,
    append: async (ids, signal) => Float32Array.from((await runner.append(ids, signal)).values().slice(-blockVocab)),
    async block(ids, signal) {
      const run = await runner.block(ids, signal);
      return { logits: Float32Array.from(run.logits.values()), commit: (rows) => run.commit(rows) };
    },
    truncate: (length) => kv.truncate(length),
  };
}
