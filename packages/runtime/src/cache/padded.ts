import { productOf, Tensor, type TensorData, type TensorType } from "@rlxjs/ir";
import type { CompiledGraph } from "../compiled-graph.ts";
import type { InputValue } from "../inputs.ts";
import type { Outputs, RunOptions } from "../run-options.ts";
import type { StateSet } from "../state.ts";
import { RowsError } from "./errors.ts";
import { countRows, padRows, sliceRows } from "./rows.ts";

/** Rows of `inner` elements of the input's typed array. */
export interface PaddedInput {
  readonly name: string;
  readonly data: TensorData;
  readonly inner: number;
}
/** The same, or without `rowInner` a value that is passed as it is. */
export type CacheRunInput =
  | { readonly name: string; readonly data: TensorData; readonly rowInner: number }
  | { readonly name: string; readonly data: InputValue; readonly rowInner?: undefined };

export interface RowsCall {
  readonly upper: number;
  readonly actualRows: number;
  readonly inputs: readonly CacheRunInput[];
  readonly outputInners: readonly number[];
  readonly state?: StateSet;
  readonly signal?: AbortSignal;
}

/** A run on rows: what the graph is run with, and what becomes of its outputs. */
export interface RowsRun<Out extends string> {
  readonly options: RunOptions<Out>;
  readonly results: (outputs: Outputs<Out>) => Outputs<Out>;
}

/** How to run a graph that was built for `upper` rows on fewer, checked: see `BucketedCompileCache.runPaddedMixed`. */
export function rowsRun<Out extends string>(
  compiled: CompiledGraph<Out>,
  { upper, actualRows, inputs, outputInners, ...options }: RowsCall,
): RowsRun<Out> {
  const graph = `graph "${compiled.name}"`;
  if (!Number.isSafeInteger(actualRows) || actualRows < 0 || actualRows > upper)
    throw new RowsError(graph, `expected 0 to ${upper} rows, got ${actualRows}`);
  if (outputInners.length > compiled.outputs.size)
    throw new RowsError(graph, `outputInners: expected at most ${compiled.outputs.size} (one per output), got ${outputInners.length}`);
  const values: Readonly<Record<string, InputValue>> = Object.fromEntries(
    inputs.map(({ name, data, rowInner }) => [
      name,
      rowInner === undefined ? data : rowsOf(compiled, name, data, rowInner, upper, actualRows),
    ]),
  );
  const cut = [...compiled.outputs].flatMap(([name, type], index) => {
    const inner = outputInners[index] ?? 0;
    return mustCut(`${graph}: output "${name}"`, type, inner, upper) ? [{ name, inner }] : [];
  });
  // Rows that were padded are of fixed extents: a symbol with the same bound is another extent.
  const padded = inputs.some(({ name, rowInner }) => rowInner !== undefined && isFixed(compiled.inputs.get(name)));
  const symbol = padded ? undefined : rowSymbol(compiled, upper);
  return {
    options: { ...options, inputs: values, extents: symbol === undefined ? {} : { [symbol]: actualRows } },
    results: (outputs) => {
      const rows: Record<Out, Tensor> = { ...outputs };
      for (const { name, inner } of cut) rows[name] = firstRows(outputs[name], inner, upper, actualRows);
      return rows;
    },
  };
}

/** The extent that stands for the rows: the one symbol of inputs and outputs that goes up to `upper`. */
function rowSymbol(compiled: CompiledGraph, upper: number): string | undefined {
  const names = new Set<string>();
  for (const { shape } of [...compiled.inputs.values(), ...compiled.outputs.values()])
    for (const dim of shape) if (typeof dim !== "number") for (const [name, { max }] of dim.symbols) if (max === upper) names.add(name);
  return names.size === 1 ? [...names][0] : undefined;
}

const isFixed = (type: TensorType | undefined): boolean => type?.shape.every((d) => typeof d === "number") === true;

function rowsOf(compiled: CompiledGraph, name: string, data: TensorData, inner: number, upper: number, actualRows: number): TensorData {
  const where = `graph "${compiled.name}": input "${name}"`;
  const rows = countRows(where, data.length, inner);
  if (rows !== actualRows) throw new RowsError(where, `expected ${actualRows} rows of ${inner} elements, got ${rows}`);
  return isFixed(compiled.inputs.get(name)) ? padRows(data, inner, upper) : data;
}

/** Whether an output has rows to cut off; one with a symbolic extent never has. */
function mustCut(where: string, type: TensorType, inner: number, upper: number): boolean {
  const elements = productOf(type.shape);
  if (inner === 0 || typeof elements !== "number") return false;
  const rows = countRows(where, elements, inner);
  if (rows !== upper) throw new RowsError(where, `expected ${upper} rows of ${inner} elements, got ${rows}`);
  return true;
}

function firstRows({ dtype, shape, data }: Tensor, inner: number, upper: number, actualRows: number): Tensor {
  const rows = sliceRows(data, inner, actualRows);
  // Axes before the rows have extent 1; a shape that does not show its rows becomes a flat one.
  const axis = shape.findIndex((d) => d !== 1);
  return new Tensor(dtype, shape[axis] === upper ? shape.with(axis, actualRows) : [rows.length], rows);
}
