import { type AttrRecord, type Dim, type DType, dimMax, dtypeCode, kvCodecNumber } from "@rlxjs/ir";
import { attentionAttrs, attentionValueDim, type Operand, type Step } from "@rlxjs/runtime";
import { type Expr, ceilDiv, max, min, product } from "../expr.ts";
import { type Argument, type BufferArgument, constants, float, type FunctionConstant, long, read, slot, uint, ulong } from "../launch.ts";
import { input } from "./checks.ts";
import { inQuads, SIMDGROUP } from "./grid.ts";

// What the launches of attention have in common: sizes, and the operands, arguments and function constants of shaders/attention.h.

type Shaped = { readonly shape: readonly Dim[]; readonly dtype: DType };
/** Sizes of a node or of a step. */
export interface Sizes {
  readonly batch: Dim;
  readonly queries: Dim;
  readonly capacity: Dim;
  /** In the cache. */
  readonly sequences: Dim;
  readonly heads: number;
  readonly kvHeads: number;
  /** Heads per key head. */
  readonly group: number;
  readonly headDim: number;
  readonly valueDim: number;
}
export function sizesOf(of: {
  readonly attrs: AttrRecord;
  readonly inputs: readonly (Shaped | undefined)[];
  readonly outputs: readonly Shaped[];
}): Sizes {
  const { numHeads, numKvHeads, headDim, kvLayout } = attentionAttrs(of.attrs);
  const [q, k] = of.inputs;
  return {
    batch: q?.shape[0] ?? 0,
    queries: q?.shape[1] ?? 0,
    capacity: k?.shape[kvLayout === "token" ? 1 : 2] ?? 0,
    sequences: k?.shape[0] ?? 0,
    heads: numHeads,
    kvHeads: numKvHeads,
    group: numHeads / numKvHeads,
    headDim,
    valueDim: attentionValueDim(of),
  };
}

const quads = (n: number): number => Math.ceil(n / 4);
/** Floats of a row in threadgroup memory and in records. */
export const rowFloats = (n: number): number => 4 * quads(n);

const mostSimdgroups = 8;
const mostSplits = 32;
const fewRows = 16;

/** How a call with few query rows is cut up. */
export interface DecodePlan {
  /** Most rows of a threadgroup, and quads of values per lane: sizes for which there is a kernel. */
  readonly variant: readonly [rows: number, quads: number];
  /** Rows of a threadgroup. */
  readonly rows: number;
  /** More queries than that are prefill's. */
  readonly mostQueries: number;
  readonly simdgroups: number;
  /** Parts of the keys; more than one only for caches that are longer than all simdgroups take in one go. */
  readonly isSplit: boolean;
  readonly splits: Expr;
}
export function decodePlan({ queries, capacity, group, valueDim }: Sizes): DecodePlan {
  const perLane = [1, 2, 4].find((n) => quads(valueDim) <= n * SIMDGROUP) ?? 4;
  const mostRows = Math.min(8, 16 / perLane);
  // One token's rows where the number of queries varies: that is the case to be fast in.
  const all = typeof queries === "number" ? Math.min(Math.max(queries, 1) * group, fewRows) : group;
  const rows = Math.ceil(all / Math.ceil(all / mostRows));
  const simdgroups = Math.min(mostSimdgroups, Math.max(1, Math.ceil(dimMax(capacity) / SIMDGROUP)));
  const share = mostSimdgroups * SIMDGROUP;
  const isSplit = dimMax(capacity) > share;
  return {
    variant: [[1, 4, 8].find((n) => rows <= n) ?? 8, perLane],
    rows,
    mostQueries: Math.max(1, Math.floor((2 * rows) / group)),
    simdgroups,
    isSplit,
    splits: isSplit ? max(1, min(ceilDiv(capacity, share), mostSplits)) : 1,
  };
}

/** How a call with many query rows is cut up: rows of a threadgroup, and chunks of 64 values, a pair for which there is a kernel. */
export function prefillVariant({ headDim, valueDim }: Sizes): readonly [rows: number, chunks: number] {
  const widest = Math.max(headDim, valueDim);
  if (widest <= 128) return [32, valueDim <= 64 ? 1 : 2];
  return widest <= 256 ? [16, 4] : [8, 8];
}

const stride = (t: Operand | undefined): Argument => uint(t && t.shape.length > 0 ? 1 : 0);

/** Strides of a mask over batch, heads, queries and slots, 0 where it is broadcast; a keep mask [B, Skv] is the same for all heads and queries. */
function maskStrides(mask: Operand | undefined, keep: boolean): Expr[] {
  const shape = mask?.shape ?? [];
  const full = keep && shape.length === 2 ? [shape[0] ?? 1, 1, 1, shape[1] ?? 1] : [1, 1, 1, 1, ...shape].slice(-4);
  return full.map((extent, i) => (extent === 1 ? 0 : product(full.slice(i + 1))));
}

/** AttentionArgs. */
export function attentionArguments(step: Step, splits: Expr): Argument[] {
  const { batch, queries, capacity, sequences, headDim } = sizesOf(step);
  const { scale = 1 / Math.sqrt(headDim), softcap = 0, window = 0, maskKind } = attentionAttrs(step.attrs);
  const [, , , mask, qPos, kvLen, , ringStart] = step.inputs;
  return [
    long(window),
    ...maskStrides(mask, maskKind === "keep").map(ulong),
    ...[batch, queries, capacity, sequences, splits].map(uint),
    ...[qPos, kvLen, ringStart].map(stride),
    float(scale),
    float(softcap),
    slot,
  ];
}

/** ATTENTION_OPERANDS but for the arguments. */
export const attentionBuffers = (step: Step): BufferArgument[] => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((i) => read(step.inputs[i]));

/** Rows of a threadgroup, and whether keys are split, differ between the kernels. */
export function attentionConstants(step: Step, rows: number, isSplit: boolean): FunctionConstant[] {
  const { heads, kvHeads, headDim, valueDim } = sizesOf(step);
  const attrs = attentionAttrs(step.attrs);
  const [q, k, v, mask, qPos, kvLen, sinks, ringStart, slots, kNorms, vNorms] = step.inputs;
  const optional = [mask, qPos, kvLen, sinks, ringStart, slots];
  const code = (t: Operand | undefined): number => (t ? dtypeCode(t.dtype) : 0);
  return constants(
    ...[q, k, v, ...optional].map(code),
    ...[...optional, kNorms, vNorms].map((t) => t !== undefined),
    ...[attrs.kCodec, attrs.vCodec].map(kvCodecNumber),
    inQuads(headDim, input(step, 1)),
    inQuads(valueDim, input(step, 2)),
    ...[heads, kvHeads, headDim, valueDim],
    attrs.kvLayout === "head",
    attrs.causal,
    attrs.window !== undefined,
    attrs.softcap !== undefined,
    attrs.maskKind === "keep",
    rows,
    isSplit,
  );
}
