import { type Dim, dimEquals, dimMax, mulDims, showType, subDims, type TensorType } from "@rlxjs/ir";
import type { CompiledGraph } from "@rlxjs/runtime";
import { DecodeGraphError } from "./errors.ts";
import { pastKvInputNames } from "./names.ts";
import { splitDecodeLogitsKvAux } from "./outputs.ts";

/** Where a graph keeps the keys or the values of one layer. */
export interface CacheSlot {
  /** Of the input or state. */
  readonly name: string;
  readonly type: TensorType;
  /** The axis that counts positions: 1 for [batch, rows, width], 2 for [batch, heads, rows, headDim]. */
  readonly rowAxis: 1 | 2;
  /** Positions that there is room for. */
  readonly capacity: number;
  /** An input of a fixed extent: shorter pasts are padded, and new rows come behind the padding. */
  readonly padded: boolean;
}
/** A cache that comes as an input; what goes out is it and the new rows behind it. */
export interface ConcatSlot extends CacheSlot {
  readonly output: string;
}
export interface LayerSlots<S extends CacheSlot> {
  readonly k: S;
  readonly v: S;
}

interface CommonLayout {
  readonly batch: Dim;
  /** Rows that a run appends. */
  readonly newRows: Dim;
  readonly logits: string;
  readonly aux: readonly string[];
}
/** Caches are inputs `past_k_0`...; outputs are `[logits, k_0, v_0, ..., aux...]`. */
export interface ConcatLayout extends CommonLayout {
  readonly form: "concat";
  readonly layers: readonly LayerSlots<ConcatSlot>[];
}
/** Caches are states `past_k_0`...; outputs are `[logits, aux...]`. */
export interface StateLayout extends CommonLayout {
  readonly form: "state";
  readonly layers: readonly LayerSlots<CacheSlot>[];
}
/** What a decode graph says about itself. */
export type DecodeLayout = ConcatLayout | StateLayout;

/** Inputs that hold the new tokens, [batch, rows, ...]. */
export const tokenInputs: readonly string[] = ["input_ids", "inputs_embeds"];

const known = new WeakMap<CompiledGraph, DecodeLayout>();

/** Read from a compiled graph which form of the contract it has. DecodeGraphError when it has none. */
export function decodeLayout(compiled: CompiledGraph): DecodeLayout {
  const layout = known.get(compiled) ?? readLayout(compiled);
  known.set(compiled, layout);
  return layout;
}

/** Whether a graph has a past: a prefill graph may have none. */
export const hasCaches = (compiled: CompiledGraph): boolean =>
  countLayers(compiled, compiled.inputs) + countLayers(compiled, compiled.states) > 0;

function readLayout(compiled: CompiledGraph): DecodeLayout {
  const { name, inputs, states } = compiled;
  const [asInputs, asStates] = [countLayers(compiled, inputs), countLayers(compiled, states)];
  if (asInputs > 0 && asStates > 0) throw new DecodeGraphError(name, "past_k_0: expected inputs or states, got some of both");
  if (asInputs > 0) return concatLayout(compiled, asInputs);
  if (asStates > 0) return stateLayout(compiled, asStates);
  throw new DecodeGraphError(name, "expected inputs or states past_k_0, past_v_0, ..., got none");
}

/** How many layers have caches of these names; a cache without its counterpart is refused. */
function countLayers({ name: graph }: CompiledGraph, types: ReadonlyMap<string, TensorType>): number {
  const found = [...types.keys()].filter((name) => /^past_[kv]_\d+$/.test(name));
  const layers = Math.ceil(found.length / 2);
  const missing = pastKvInputNames(layers).find((name) => !types.has(name));
  if (missing !== undefined) throw new DecodeGraphError(graph, `expected ${missing} beside ${found.join(", ")}`);
  return layers;
}

function concatLayout(compiled: CompiledGraph, count: number): ConcatLayout {
  const { name: graph, inputs, outputs } = compiled;
  const aux = outputs.size - 1 - 2 * count;
  if (aux < 0)
    throw new DecodeGraphError(
      graph,
      `outputs: expected logits, k_0, v_0, ... for ${count} layers, got ${[...outputs.keys()].join(", ") || "none"}`,
    );
  const { logits, layersK, layersV, aux: rest } = splitDecodeLogitsKvAux([...outputs.keys()], count, aux);
  let newRows: Dim | undefined;
  const slot = (name: string, output: string | undefined): ConcatSlot => {
    const type = typeOf(graph, inputs, name);
    const result = output === undefined ? undefined : outputs.get(output);
    const [batch = 1, rows = 0, width = 0] = type.shape;
    if (type.shape.length !== 3 || typeof width !== "number")
      throw new DecodeGraphError(graph, `input ${name}: expected [batch, rows, kvDim], got ${showType(type)}`);
    const added = subDims(result?.shape[1] ?? 0, rows);
    const fits =
      result?.dtype === type.dtype && result.shape.length === 3 && dimEquals(result.shape[0] ?? 0, batch) && result.shape[2] === width;
    if (output === undefined || !result || !fits || (newRows !== undefined && !dimEquals(added, newRows)) || dimMax(added) < 1)
      throw new DecodeGraphError(
        graph,
        `output ${output}: expected ${name} ${showType(type)} with the new rows behind it, got ${result ? showType(result) : "nothing"}`,
      );
    newRows = added;
    return { name, type, rowAxis: 1, capacity: dimMax(rows), output, padded: typeof rows === "number" };
  };
  const layers = pairs(count, (k, v, i) => ({ k: slot(k, layersK[i]), v: slot(v, layersV[i]) }));
  for (const { k, v } of layers)
    if (showType(k.type) !== showType(v.type))
      throw new DecodeGraphError(graph, `input ${v.name}: expected ${showType(k.type)} as ${k.name}, got ${showType(v.type)}`);
  return { form: "concat", batch: layers[0]?.k.type.shape[0] ?? 1, newRows: newRows ?? 1, logits, aux: rest, layers };
}

function stateLayout(compiled: CompiledGraph, count: number): StateLayout {
  const { name: graph, inputs, states, outputs } = compiled;
  const slot = (name: string): CacheSlot => {
    const type = typeOf(graph, states, name);
    const rowAxis = type.shape.length === 4 ? 2 : 1;
    const capacity = type.shape[rowAxis];
    if (type.shape.length < 3 || type.shape.length > 4 || !type.shape.every((d) => typeof d === "number") || typeof capacity !== "number")
      throw new DecodeGraphError(
        graph,
        `state ${name}: expected fixed extents [batch, capacity, kvDim] or [batch, heads, capacity, headDim], got ${showType(type)}`,
      );
    return { name, type, rowAxis, capacity, padded: false };
  };
  const layers = pairs(count, (k, v) => ({ k: slot(k), v: slot(v) }));
  const tokens = tokenInputs.flatMap((name) => inputs.get(name) ?? [])[0];
  const newRows = tokens?.shape[1];
  if (newRows === undefined)
    throw new DecodeGraphError(
      graph,
      `expected an input ${tokenInputs.join(" or ")} [batch, rows, ...], which says how many rows a run appends`,
    );
  const [logits, ...aux] = outputs.keys();
  if (logits === undefined) throw new DecodeGraphError(graph, "expected the logits as the first output, got none");
  return { form: "state", batch: layers[0]?.k.type.shape[0] ?? 1, newRows, logits, aux, layers };
}

const pairs = <T>(count: number, make: (k: string, v: string, layer: number) => T): T[] => {
  const names = pastKvInputNames(count);
  return Array.from({ length: count }, (_, i) => make(names[2 * i] ?? "", names[2 * i + 1] ?? "", i));
};

function typeOf(graph: string, types: ReadonlyMap<string, TensorType>, name: string): TensorType {
  const type = types.get(name);
  if (!type) throw new DecodeGraphError(graph, `expected ${name}, got nothing`);
  return type;
}

/** Elements of a row: kvDim. */
export const widthOf = ({ type: { shape }, rowAxis }: CacheSlot): Dim =>
  rowAxis === 1 ? (shape[2] ?? 0) : mulDims(shape[1] ?? 0, shape[3] ?? 0);
