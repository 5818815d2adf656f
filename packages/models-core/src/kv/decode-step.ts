import type { Tensor, TensorData } from "@rlxjs/ir";
import type { BucketedCompileCache, BucketLease, CompiledGraph, InputValue, Outputs, RunOptions } from "@rlxjs/runtime";
import { type CrossAttnKv, ensureCrossAttn } from "./cross-attention.ts";
import { type CheckedCall, checkCall, type KvDecodeInputs, fullLayer } from "./decode-call.ts";
import { KvStateError, OutOfBucketError } from "./errors.ts";
import { type ConcatLayout, decodeLayout, type StateLayout } from "./graph-layout.ts";
import type { HostLayers } from "./kv-place.ts";
import type { KvCacheState } from "./kv-state.ts";
import { checkPlain, rowsOfTensor, tensorOfRows } from "./row-io.ts";
import { readRows, writeRows } from "./state-place.ts";

/** What a decode step takes, whatever graph runs. */
export interface KvStepOptions extends KvDecodeInputs {
  /** The past. The new rows are appended when the call has succeeded; a call that fails changes nothing. */
  readonly kv: KvCacheState;
  /** Keys and values of cross attention: installed on the device once per graph. */
  readonly crossAttn?: CrossAttnKv;
  /** Memory for the logits: see `RunOptions.into`. */
  readonly into?: TensorData;
  readonly signal?: AbortSignal;
}
/** The same with the graphs to choose from. */
export interface KvDecodeOptions extends KvStepOptions {
  /** One graph per range of keys. */
  readonly cache: BucketedCompileCache;
}

export interface KvDecodeResult {
  /** The first output, such as [batch, newRows, vocab]. */
  readonly logits: Tensor;
  /** Outputs that are neither logits nor rows of the cache, by name. */
  readonly aux: Readonly<Record<string, Tensor>>;
  /** The cache that was given, with the new rows. */
  readonly kv: KvCacheState;
  /** Positions that the graph that ran has room for. */
  readonly upper: number;
}

/** The bucket of a key; undefined: the key is in none. */
export type FindBucket = (key: number) => Promise<BucketLease | undefined>;

/** The bucket of a key, or what to throw. */
export async function needBucket(
  what: string,
  key: number,
  find: FindBucket,
  { cache }: Pick<KvDecodeOptions, "cache">,
): Promise<BucketLease> {
  const lease = await find(key);
  if (!lease) throw new OutOfBucketError(what, key, cache.buckets);
  return lease;
}

/** A step that has run. The cache is as before until its rows are kept. */
export interface RanStep {
  readonly result: KvDecodeResult;
  readonly newRows: number;
  /** Append the first `rows` of the new rows to the cache. Once, and before anything else happens to it. */
  commit(rows: number): void;
}

/** One step with all rows on the host, before and after. */
export async function stepOnHost(compiled: CompiledGraph, options: KvStepOptions): Promise<KvDecodeResult> {
  return keepAll(await runOnHost(compiled, options));
}

/** The end of a step whose rows all become part of the cache. */
export function keepAll({ result, newRows, commit }: RanStep): KvDecodeResult {
  commit(newRows);
  return result;
}

/** The same without an end: its rows can be kept or not. */
export async function runOnHost(compiled: CompiledGraph, options: KvStepOptions): Promise<RanStep & { readonly rows: HostLayers }> {
  const { kv, crossAttn } = options;
  const layout = decodeLayout(compiled);
  const call = checkCall(compiled, layout, kv, options);
  checkRoom(compiled, call);
  for (const { k, v } of layout.layers) for (const slot of [k, v]) checkPlain(slot);
  if (crossAttn) ensureCrossAttn(compiled, crossAttn);
  const { outputs, rows } =
    layout.form === "concat" ? await runConcat(compiled, layout, call, options) : await runState(compiled, layout, call, options);
  const commit = (count: number): void => kv.append(rows.layersK, rows.layersV, { count });
  return { result: resultOf(call, kv, outputs), newRows: call.newRows, rows, commit };
}

interface StepRun {
  readonly outputs: Outputs;
  /** The new ones. */
  readonly rows: HostLayers;
}

/** The past goes in, padded where the graph wants that; of what comes out only the new rows are read. */
async function runConcat(compiled: CompiledGraph, layout: ConcatLayout, call: CheckedCall, options: KvStepOptions): Promise<StepRun> {
  const { kv } = options;
  const padded = layout.layers.some(({ k }) => k.padded);
  const { layersK, layersV } = padded ? kv.padLayersToUpper(call.spans.map(({ newAt }) => newAt)) : kv;
  const past: Record<string, InputValue> = {};
  for (const [i, { k, v }] of layout.layers.entries())
    for (const [slot, rows] of [[k, layersK[i]] as const, [v, layersV[i]] as const])
      if (rows) past[slot.name] = tensorOfRows(slot, kv.batch, rows);
  const outputs = await compiled.run({ ...runOptions(call, options), inputs: { ...call.inputs, ...past }, keep: rowOutputs(layout) });
  return { outputs, rows: newRowsOf(compiled, layout, call) };
}

/** The past goes into states of this call's own. */
async function runState(compiled: CompiledGraph, layout: StateLayout, call: CheckedCall, options: KvStepOptions): Promise<StepRun> {
  const { kv } = options;
  using state = compiled.createState();
  writeRows(state, layout, kv);
  const outputs = await compiled.run({ ...runOptions(call, options), inputs: call.inputs, state });
  return { outputs, rows: readRows(state, layout, kv.pastLen, call.newRows) };
}

/** What all runs have in common: which outputs are delivered, and where. */
export function runOptions({ layout }: CheckedCall, { into, signal }: KvStepOptions): RunOptions {
  return { read: [layout.logits, ...layout.aux], ...(into ? { into: { [layout.logits]: into } } : {}), signal };
}

/** Outputs that are rows of the cache. */
export const rowOutputs = ({ layers }: ConcatLayout): string[] => layers.flatMap(({ k, v }) => [k.output, v.output]);

/** The new rows of the last run, of which the outputs stayed on the device. */
export function newRowsOf(compiled: CompiledGraph, { layers }: ConcatLayout, { spans, newRows }: CheckedCall): HostLayers {
  const read = (slot: ConcatLayout["layers"][number]["k"], i: number) =>
    rowsOfTensor(slot, compiled.readOutputRow(slot.output, spans[i]?.newAt ?? 0, { rows: newRows }));
  return { layersK: layers.map(({ k }, i) => read(k, i)), layersV: layers.map(({ v }, i) => read(v, i)) };
}

/** Refuse a past that the graph has no room for; graphs in state form need room for the new rows, too. */
export function checkRoom({ name: graph }: CompiledGraph, { layout, spans, newRows }: CheckedCall): void {
  const rows = layout.form === "state" ? newRows : 0;
  const full = fullLayer(layout, spans, ({ past }) => past + rows);
  if (full)
    throw new KvStateError(
      `graph "${graph}": ${full.name}: expected at most ${full.capacity} rows${rows ? ` with the ${rows} new` : ""}, got ${Math.max(...spans.map(({ past }) => past)) + rows}`,
    );
}

export function resultOf({ layout }: CheckedCall, kv: KvCacheState, outputs: Outputs): KvDecodeResult {
  const { [layout.logits]: logits, ...aux } = outputs;
  if (!logits) throw new KvStateError(`expected the output ${layout.logits}, got nothing`);
  return { logits, aux, kv, upper: layout.layers[0]?.k.capacity ?? 0 };
}
