import {
  type AnyOpDef,
  type AttrRecord,
  type AttrSpec,
  type Bindings,
  type Dim,
  dim,
  dtypes,
  evalShape,
  graphBuilder,
  type InputSpec,
  mulDims,
  type Tensor,
  type TensorType,
  type Value,
} from "@rlxjs/ir";
import { evalExpr, type MetalKernel, planProgram } from "@rlxjs/backend-metal";
import { type Backend, lowerGraph, type Program } from "@rlxjs/runtime";
import { type Case, opGraph, resultTypes } from "../../backend-cpu/test/one-op.ts";
import { shiftedBytes, shiftedInput, unwritten } from "./symbolic-op.ts";

type GraphBuilder = ReturnType<typeof graphBuilder>;
/** What stands for the extents of a sample, by their values. */
type Symbols = ReadonlyMap<number, Dim>;
/** A sample with symbols in its operands and attributes. */
interface Symbolic {
  readonly types: readonly (TensorType | undefined)[];
  readonly attrs: AttrRecord;
}

function symbolic(def: AnyOpDef, { slots, attrs }: Case, symbols: Symbols): Symbolic {
  const specs = def.attrs as Readonly<Record<string, AttrSpec>>;
  const standIn = (d: unknown): unknown => symbols.get(d as number) ?? d;
  const attr = ([name, value]: [string, unknown]): [string, unknown] => {
    const kind = specs[name]?.kind;
    if (kind === "dims") return [name, (value as readonly Dim[]).map(standIn)];
    return [name, kind === "dim" ? standIn(value) : value];
  };
  return {
    types: slots.map((t) => t && { dtype: t.dtype, shape: t.shape.map((d) => symbols.get(d) ?? d) }),
    attrs: Object.fromEntries(Object.entries(attrs).map(attr)) as AttrRecord,
  };
}

const isWritten = (def: AnyOpDef, slot: number): boolean =>
  def.traits.writes?.includes((def.inputs as readonly InputSpec[])[slot]?.name ?? "") === true;
/** The operand of sample `k` that begins behind the beginning of its memory: another one from sample to sample, or none. */
function shiftedSlot(def: AnyOpDef, { slots }: Case, k: number): number {
  const slot = k % (slots.length + 2);
  const t = slots[slot];
  return t && !isWritten(def, slot) && dtypes[t.dtype].blockSize === 1 ? slot : -1;
}

/** Operands: what the op writes is a state, the rest are inputs; one of them a view. */
function operands(g: GraphBuilder, def: AnyOpDef, { types }: Symbolic, view: number, prefix = ""): (Value | undefined)[] {
  return types.map((t, i) => {
    if (!t) return undefined;
    const name = `${prefix}${i}`;
    if (isWritten(def, i)) return g.state(name, t.dtype, t.shape);
    return i === view ? shiftedInput(g, name, t, 1) : g.input(name, t.dtype, t.shape);
  });
}

/** Whether an op infers the right results from symbols, and has a kernel for them. */
function fits({ kernels }: Backend, def: AnyOpDef, sample: Case, symbols: Symbols, extents: Bindings): boolean {
  const g = graphBuilder(def.name);
  const { types, attrs } = symbolic(def, sample, symbols);
  try {
    const outputs = g.emit(def, operands(g, def, { types, attrs }, -1), attrs).map((v) => v.type);
    if (outputs.some(({ shape }, i) => String(evalShape(shape, extents)) !== String(resultTypes(def, sample)[i]?.shape))) return false;
    const node = { def, attrs, inputs: types.map((t) => t && { ...t, weight: false }), outputs };
    return kernels.some((kernel) => kernel.op === def.name && kernel.accepts(node) === true);
  } catch {
    return false;
  }
}

/** The upper bound of a symbol: the sample's own extent, or so much more that kernels for few rows and those for many are there. */
const boundOf = (count: number, k: number): number => (k % 3 === 0 ? count : 2 * count + 9);

/** As many extents of a sample as the op allows, each as a multiple of a symbol. */
function symbolsOf(backend: Backend, def: AnyOpDef, sample: Case, k: number): { symbols: Symbols; extents: Bindings } {
  const extents: Record<string, number> = {};
  let symbols: Symbols = new Map();
  const values = new Set(sample.slots.flatMap((t) => (t ? [...t.shape] : [])).filter((d) => d > 1));
  for (const value of [...values].sort((a, b) => a - b)) {
    const factors = Array.from({ length: Math.min(64, value) }, (_, i) => i + 1).filter((f) => value % f === 0);
    // Kernels take other ways where lengths are multiples of 4, whatever they are.
    if (k % 2 === 1 && value % 4 === 0) factors.unshift(4);
    for (const factor of factors) {
      const [name, count] = [`n${k}_${value}`, value / factor];
      const more = new Map([...symbols, [value, mulDims(dim(name, { min: 0, max: boundOf(count, k) }), factor)]]);
      if (!fits(backend, def, sample, more, { ...extents, [name]: count })) continue;
      symbols = more;
      extents[name] = count;
      break;
    }
  }
  return { symbols, extents };
}

/** How many launches each step of an op takes at some extents. */
function launchCounts(program: Program, { kernels }: Backend, op: string, extents: Bindings): number[] {
  const { launches } = planProgram(program, kernels as readonly MetalKernel[]);
  const running = launches.filter(({ launch: { grid } }) =>
    ("threads" in grid ? grid.threads : grid.threadgroups).every((e) => evalExpr(e, extents) > 0),
  );
  return program.steps.flatMap((s, i) => (s.op === op ? [running.filter(({ step }) => step === i).length] : []));
}

/** Samples of an op with their results, which come from one program for all values of their extents. */
export interface SymbolicResults {
  /** Those of which an extent can vary. */
  readonly samples: readonly Case[];
  readonly results: readonly Tensor[];
  /** Launches per sample, from this program and from one for just these extents. */
  readonly launches: readonly number[];
  readonly launchesOfKnown: readonly number[];
}

/** Whether an op takes the same launches for extents that are known. Attention cuts a known number of queries in another way. */
export const isCutAlike = ({ name }: AnyOpDef): boolean => name !== "attention";

export function symbolicResults(backend: Backend, def: AnyOpDef, all: readonly Case[]): SymbolicResults {
  const g = graphBuilder(`symbolic ${def.name}`);
  const extents: Record<string, number> = {};
  const given = new Map<string, Uint8Array<ArrayBuffer>>();
  const samples: Case[] = [];
  for (const sample of all) {
    const k = samples.length;
    const found = symbolsOf(backend, def, sample, k);
    if (found.symbols.size === 0) continue;
    samples.push(sample);
    Object.assign(extents, found.extents);
    const view = shiftedSlot(def, sample, k);
    for (const [i, t] of sample.slots.entries()) if (t) given.set(`${k}:${i}`, i === view ? shiftedBytes(t, 1) : t.bytes);
    const stand = symbolic(def, sample, found.symbols);
    for (const [i, v] of g.emit(def, operands(g, def, stand, view, `${k}:`), stand.attrs).entries()) g.output(`${k}:${i} out`, v);
  }
  if (samples.length === 0) return { samples, results: [], launches: [], launchesOfKnown: [] };
  const graph = g.build();
  const program = lowerGraph(graph, { kernels: backend.kernels });
  const results = graph.outputs.map(({ value }) => unwritten(graph.values[value] ?? { dtype: "f32", shape: [] }, extents));
  const states = program.buffers.flatMap((b) => {
    if (b.kind !== "state") return [];
    const state = backend.allocate(b.bytes);
    state.bytes.set(given.get(b.name) as Uint8Array);
    return [state];
  });
  const bound = program.buffers.map((b) => (b.kind === "constant" ? b.value.bytes : undefined));
  using executable = backend.load(program, bound);
  executable.runSync({
    extents: program.symbols.map((s) => extents[s.name] ?? Number.NaN),
    inputs: program.buffers.flatMap((b) => (b.kind === "input" ? [given.get(b.name) as Uint8Array<ArrayBuffer>] : [])),
    outputs: results.map((t) => t.bytes),
    states,
  });
  for (const state of states) state[Symbol.dispose]();
  const known = lowerGraph(opGraph(def, samples), { kernels: backend.kernels, hoistWeights: false });
  return {
    samples,
    results,
    launches: launchCounts(program, backend, def.name, extents),
    launchesOfKnown: launchCounts(known, backend, def.name, {}),
  };
}
