import type { AnyOpDef } from "../op.ts";
import { geglu, gelu, geluTanh, silu, softplus, swiglu } from "./activation.ts";
import { add, div, maximum, minimum, mul, pow, rem, sub } from "./arithmetic.ts";
import { attention } from "./attention.ts";
import { eq, ge, gt, le, logicalAnd, logicalOr, logicalXor, lt, ne, where } from "./compare.ts";
import { cast, clamp, dequantize } from "./convert.ts";
import { cumsum } from "./cumsum.ts";
import { embedding } from "./embedding.ts";
import { gather } from "./gather.ts";
import { groupNorm } from "./group-norm.ts";
import { iota } from "./iota.ts";
import { kvWrite, stateWrite } from "./kv-write.ts";
import { layerNorm } from "./layer-norm.ts";
import { constant, input, param, state } from "./leaf.ts";
import { linear } from "./linear.ts";
import { matmul } from "./matmul.ts";
import { groupedLinear, moeRoute } from "./moe.ts";
import { pad } from "./pad.ts";
import { reduceMax, reduceMean, reduceMin, reduceProd, reduceSum } from "./reduce.ts";
import { region } from "./region.ts";
import { register } from "./registry.ts";
import { residualLayerNorm, residualRmsNorm } from "./residual-norm.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rope, ropeTable } from "./rope.ts";
import { scatter } from "./scatter.ts";
import { argmax, argmin, topk } from "./select.ts";
import { expand, reshape, transpose } from "./shape-ops.ts";
import { concat, slice } from "./slice.ts";
import { logSoftmax, softmax } from "./softmax.ts";
import * as unary from "./unary.ts";
import { withEpilogue } from "./with-epilogue.ts";

/** The op table. Builder methods, verifier, docs, conformance tests and dispatch reports are all derived from it. */
export const ops = {
  input,
  param,
  constant,
  state,
  iota,
  ...unary,
  gelu,
  geluTanh,
  silu,
  softplus,
  swiglu,
  geglu,
  add,
  sub,
  mul,
  div,
  rem,
  maximum,
  minimum,
  pow,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  logicalAnd,
  logicalOr,
  logicalXor,
  where,
  cast,
  clamp,
  dequantize,
  reduceSum,
  reduceMean,
  reduceMax,
  reduceMin,
  reduceProd,
  softmax,
  logSoftmax,
  argmax,
  argmin,
  topk,
  cumsum,
  matmul,
  linear,
  rmsNorm,
  layerNorm,
  groupNorm,
  residualRmsNorm,
  residualLayerNorm,
  ropeTable,
  rope,
  attention,
  kvWrite,
  stateWrite,
  embedding,
  gather,
  scatter,
  concat,
  slice,
  pad,
  reshape,
  transpose,
  expand,
  moeRoute,
  groupedLinear,
  region,
  withEpilogue,
} as const satisfies Record<string, AnyOpDef>;

export type OpTable = typeof ops;

register(Object.values(ops));

export { opByName } from "./registry.ts";
