import { Tensor } from "@rlxjs/ir";
import { BusyError, type CompiledGraph, type InputValue, type InputValues } from "@rlxjs/runtime";
import { DecodeGraphError, KvStateError } from "./errors.ts";
import { type CacheSlot, type DecodeLayout, tokenInputs, widthOf } from "./graph-layout.ts";
import type { KvCacheState } from "./kv-state.ts";
import { isPlain } from "./row-io.ts";
import { decodeMask, type KeySpan, type KvMaskOptions } from "./masks.ts";

/** What a run of a bucket's graph is about to do. */
export interface KvDecodeSpan {
  /** Room for rows in the first layer's cache: the padded length of a graph in concat form, the capacity of one in state form. */
  readonly upper: number;
  readonly pastLen: number;
  readonly batch: number;
}

export interface KvDecodeInputs {
  /**
   * Everything but the caches: tokens, RoPE tables, biases; or how to make it for a bucket. `pos` [] or [batch] (the position of the
   * first new token) and `mask`, `mask_0`, ... are made when the graph has such inputs and they are not given.
   */
  readonly inputs: InputValues | ((span: KvDecodeSpan) => InputValues);
  /** How to make masks that are not given. */
  readonly mask?: KvMaskOptions & {
    /** Default `mask`. */
    readonly name?: string;
  };
}

/** A call that has been checked against the graph: nothing has run or changed yet. */
export interface CheckedCall {
  readonly layout: DecodeLayout;
  readonly inputs: InputValues;
  readonly newRows: number;
  /** Where keys lie, per layer. */
  readonly spans: readonly KeySpan[];
}

/** Check a cache against a graph, and make the inputs of the run that are not rows of the cache. */
export function checkCall(compiled: CompiledGraph, layout: DecodeLayout, kv: KvCacheState, call: KvDecodeInputs): CheckedCall {
  checkKv(compiled, layout, kv);
  const { pastLen, batch } = kv;
  const upper = layout.layers[0]?.k.capacity ?? 0;
  const given = givenInputs(call, { upper, pastLen, batch });
  const newRows = countNewRows(compiled, layout, given, batch);
  const spans = layout.layers.map(({ k }, i): KeySpan => {
    if (layout.form === "state") return { first: kv.layersKvBase[i] ?? 0, past: pastLen, newAt: pastLen, newRows };
    const past = kv.rowsOf(i);
    return { first: 0, past, newAt: k.padded ? k.capacity : past, newRows };
  });
  const inputs: Record<string, InputValue> = { ...given };
  addPosition(compiled, kv, inputs);
  addMasks(compiled, layout, call.mask ?? {}, { batch, spans, inputs });
  return { layout, inputs, newRows, spans };
}

/** The inputs that the caller gives for a bucket. */
export const givenInputs = ({ inputs }: KvDecodeInputs, span: KvDecodeSpan): InputValues =>
  typeof inputs === "function" ? inputs(span) : inputs;

function checkKv({ name: graph }: CompiledGraph, { layers, batch }: DecodeLayout, kv: KvCacheState): void {
  if (layers.length !== kv.layers) throw new KvStateError(`graph "${graph}": expected ${layers.length} layers, got ${kv.layers}`);
  if (typeof batch === "number" && batch !== kv.batch) throw new KvStateError(`graph "${graph}": expected batch ${batch}, got ${kv.batch}`);
  for (const [i, { k, v }] of layers.entries())
    for (const slot of [k, v])
      if (isPlain(slot) && widthOf(slot) !== kv.kvDims[i])
        throw new KvStateError(`graph "${graph}": ${slot.name}: expected rows of ${widthOf(slot)} elements, got ${kv.kvDims[i]}`);
}

/** The first layer whose cache has no room for so many rows. */
export const fullLayer = ({ layers }: DecodeLayout, spans: readonly KeySpan[], rows: (span: KeySpan) => number): CacheSlot | undefined =>
  layers.map(({ k, v }) => (k.capacity <= v.capacity ? k : v)).find(({ capacity }, i) => rows(spans[i] ?? noKeys) > capacity);
const noKeys: KeySpan = { first: 0, past: 0, newAt: 0, newRows: 0 };

function countNewRows({ name: graph, inputs }: CompiledGraph, { newRows }: DecodeLayout, given: InputValues, batch: number): number {
  if (typeof newRows === "number") return newRows;
  const name = tokenInputs.find((n) => inputs.has(n));
  const value = name === undefined || !Object.hasOwn(given, name) ? undefined : given[name];
  if (value instanceof Tensor) return value.shape[1] ?? 0;
  const rest = name === undefined ? undefined : inputs.get(name)?.shape[2];
  if (value === undefined || typeof value === "number" || (rest !== undefined && typeof rest !== "number"))
    throw new DecodeGraphError(graph, `${newRows} new rows: expected them in an input ${tokenInputs.join(" or ")}, got none`);
  return value.length / (batch * (rest ?? 1));
}

/** Make the input `pos` when the graph has it and the caller did not give it. */
export function addPosition(
  { inputs: types }: CompiledGraph,
  { batch, pastLen }: Pick<KvDecodeSpan, "batch" | "pastLen">,
  inputs: Record<string, InputValue>,
): void {
  const type = types.get("pos");
  if (!type || Object.hasOwn(inputs, "pos")) return;
  const shape = type.shape.length === 0 ? [] : [batch];
  inputs.pos = Tensor.from(type.dtype, shape, new Array<number>(type.shape.length === 0 ? 1 : batch).fill(pastLen));
}

/** Make the masks that the graph has and the caller did not give, and refuse padding that no mask hides. */
function addMasks(
  { name: graph, inputs: types }: CompiledGraph,
  { form, layers }: DecodeLayout,
  { name = "mask", ...options }: NonNullable<KvDecodeInputs["mask"]>,
  call: { readonly batch: number; readonly spans: readonly KeySpan[]; readonly inputs: Record<string, InputValue> },
): void {
  const shared = types.get(name);
  const [first] = call.spans;
  if (shared && first && !Object.hasOwn(call.inputs, name)) {
    const other = call.spans.findIndex((span, i) => !types.has(`${name}_${i}`) && show(span) !== show(first));
    if (other >= 0)
      throw new DecodeGraphError(
        graph,
        `input ${name}: expected ${name}_0, ${name}_1, ... because layer ${other} holds other rows than layer 0 (${show(call.spans[other] ?? first)}, ${show(first)})`,
      );
    call.inputs[name] = decodeMask(shared, call.batch, first, options);
  }
  for (const [i, span] of call.spans.entries()) {
    const own = types.get(`${name}_${i}`);
    if (own && !Object.hasOwn(call.inputs, `${name}_${i}`)) call.inputs[`${name}_${i}`] = decodeMask(own, call.batch, span, options);
    if (span.first > 0 && !own && !shared)
      throw new DecodeGraphError(
        graph,
        `expected an input ${name}: the rows before position ${span.first} of ${layers[i]?.k.name} were trimmed, and attention without a mask would read them`,
      );
    if (form === "concat" && !own && !shared && span.newAt > span.past)
      throw new DecodeGraphError(
        graph,
        `expected an input ${name} [batch, ${span.newAt + span.newRows}]: ${layers[i]?.k.name} is padded from ${span.past} to ${span.newAt} rows, and attention ` +
          "without a mask gives every row of zeros the weight exp(0); or give the past a symbolic extent, which needs no padding",
      );
  }
}

const show = ({ first, past, newAt }: KeySpan): string => `rows ${first} to ${past}, new ones at ${newAt}`;

/** Reserve a cache for one call; a second one meanwhile is refused. */
export function reserve(kv: KvCacheState): Disposable {
  if (reserved.has(kv)) throw new BusyError("KvCacheState");
  reserved.add(kv);
  calls.set(kv, callsOf(kv) + 1);
  return { [Symbol.dispose]: () => void reserved.delete(kv) };
}
/** How many calls a cache has been given to: another number means that device memory behind its rows may hold something else. */
export const callsOf = (kv: KvCacheState): number => calls.get(kv) ?? 0;
const reserved = new WeakSet<KvCacheState>();
const calls = new WeakMap<KvCacheState, number>();
