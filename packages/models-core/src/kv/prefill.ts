import type { BucketBuild, BucketedCompileCache, BucketLease, CompileSource, InputValue } from "@rlxjs/runtime";
import { signalOf } from "./bucketed-decode.ts";
import { ensureCrossAttn } from "./cross-attention.ts";
import { addPosition, givenInputs, type KvDecodeInputs } from "./decode-call.ts";
import { keepAll, type KvDecodeResult, type KvStepOptions, needBucket, stepOnHost } from "./decode-step.ts";
import { checkCount, KvStateError } from "./errors.ts";
import type { GpuKvBinding } from "./gpu-binding.ts";
import { type DecodeLayout, decodeLayout, hasCaches, widthOf } from "./graph-layout.ts";
import { KvCacheState } from "./kv-state.ts";
import { kvFromPrefillOutputs, splitDecodeLogitsKvAux } from "./outputs.ts";
import { checked, runOnDevice } from "./resident-step.ts";
import { isPlain } from "./row-io.ts";

export interface KvPrefillOptions extends KvDecodeInputs, Pick<KvStepOptions, "crossAttn" | "into" | "signal"> {
  readonly cache: BucketedCompileCache;
  /** Makes the graph of a bucket; its weights, packed ones too, are in the WeightStore of `cache`. */
  readonly build: BucketBuild<CompileSource>;
  /** Sequences. Default 1. */
  readonly batch?: number;
  /** Tokens of each prompt. */
  readonly seq: number;
  /** Default `seq`; `prefillCacheKey(batch, seq)` where batch sizes have buckets of their own. */
  readonly key?: number;
  /** Outputs that follow keys and values, for a graph without a past. Default 0. */
  readonly aux?: number;
  /** Elements of a row per layer, where the graph's caches do not show them: quantized ones. */
  readonly kvDims?: readonly number[];
  /** Leave the rows on the device, there. For graphs with a past. */
  readonly binding?: GpuKvBinding;
}

/**
 * Run prompts and give the cache that decoding goes on with. The graph has a symbolic number of tokens, up to its bucket's largest: only the
 * prompt's own are computed, and the last logits are those of its last token. It has no past and gives `[logits, k_0, v_0, ...]` with rows [batch,
 * seq, kvDim]; or it is a decode graph of either form that takes that many rows.
 */
export async function runPackedPrefill(options: KvPrefillOptions): Promise<KvDecodeResult> {
  const { cache, build, batch = 1, binding } = options;
  const seq = checkCount("prefill: seq", options.seq, 1);
  const find = (key: number) => cache.getOrCompile(key, build, signalOf(options));
  const lease = await needBucket(`prompt of ${seq}`, options.key ?? seq, find, options);
  const { compiled } = lease;
  // Whoever runs on the device keeps the lease with the rows.
  let kept = false;
  try {
    if (!hasCaches(compiled)) return await withoutPast(lease, seq, options);
    const kv = new KvCacheState({ batch, kvDims: options.kvDims ?? kvDimsOf(compiled.name, decodeLayout(compiled)) });
    if (!binding) return prefilled(await stepOnHost(compiled, { ...options, kv }), seq);
    const step = { ...options, kv, binding };
    kept = true;
    return prefilled(keepAll(await runOnDevice(checked(lease, step), step)), seq);
  } finally {
    if (!kept) lease[Symbol.dispose]();
  }
}

async function withoutPast({ compiled, upper }: BucketLease, seq: number, options: KvPrefillOptions): Promise<KvDecodeResult> {
  const { batch = 1, aux = 0, binding, crossAttn, into, signal } = options;
  if (binding) throw new KvStateError(`graph "${compiled.name}": expected a graph with a past, whose rows can stay on the device`);
  const names = [...compiled.outputs.keys()];
  const layers = Math.floor((names.length - 1 - aux) / 2);
  const { logits, aux: rest } = splitDecodeLogitsKvAux(names, layers, aux);
  const span = { upper, pastLen: 0, batch };
  const inputs: Record<string, InputValue> = { ...givenInputs(options, span) };
  addPosition(compiled, span, inputs);
  if (crossAttn) ensureCrossAttn(compiled, crossAttn);
  const outputs = await compiled.run({ inputs, ...(into ? { into: { [logits]: into } } : {}), signal });
  const inOrder = names.flatMap((name) => outputs[name] ?? []);
  const kv = kvFromPrefillOutputs(inOrder, { layers, aux });
  if (kv.batch !== batch) throw new KvStateError(`prefill: expected a batch of ${batch}, got ${kv.batch}`);
  const [first] = inOrder;
  if (!first) throw new KvStateError(`expected the output ${logits}, got nothing`);
  return prefilled(
    { logits: first, aux: Object.fromEntries(rest.flatMap((name) => (outputs[name] ? [[name, outputs[name]]] : []))), kv, upper },
    seq,
  );
}

/** Refuse a graph that computed another number of rows: one of a fixed number takes the padding for tokens. */
function prefilled(result: KvDecodeResult, seq: number): KvDecodeResult {
  if (result.kv.pastLen === seq) return result;
  throw new KvStateError(
    `prefill: expected rows for the ${seq} tokens of the prompt, got ${result.kv.pastLen}: the graph's number of tokens has to be symbolic, so that padding is not computed`,
  );
}

function kvDimsOf(graph: string, { layers }: DecodeLayout): number[] {
  return layers.map(({ k }) => {
    const width = widthOf(k);
    if (!isPlain(k) || typeof width !== "number")
      throw new KvStateError(`graph "${graph}": ${k.name} does not show how many elements a row has: expected kvDims, got none`);
    return width;
  });
}
