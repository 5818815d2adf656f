import { dimMax, dimMin } from "@rlxjs/ir";
import { attentionAttrs, attentionRefusal, type NodeView, reasons, type Step } from "@rlxjs/runtime";
import { atLeast, ceilDiv, type Expr, max, min, mul, sub } from "../expr.ts";
import { type Launch, type MetalKernel, type Refusal, read, scratch, status, write } from "../launch.ts";
import {
  attentionArguments,
  attentionBuffers,
  attentionConstants,
  type DecodePlan,
  decodePlan,
  prefillVariant,
  rowFloats,
  type Sizes,
  sizesOf,
} from "./attention-plan.ts";
import { hasF64, kernel, output } from "./checks.ts";
import { SIMDGROUP } from "./grid.ts";

/** Widest head. */
const maxHeadDim = 512;
/** RECORD_TAIL of shaders/attention_decode.metal. */
const recordTail = 4;
/** Of a table of code values; 16 where there is none, since threadgroup memory that is bound is never empty. */
const tableBytes = (codec: string | undefined): number => (codec === undefined ? 16 : 2 ** Number(codec.split(":")[1]) * 4);

/** Bytes of the records of all rows that decode may have. */
function recordBytes({ batch, queries, heads, valueDim }: Sizes, { mostQueries, isSplit, splits }: DecodePlan): Expr {
  const rows = mul(mul(batch, min(queries, mostQueries)), heads);
  return isSplit ? mul(mul(rows, splits), (rowFloats(valueDim) + recordTail) * 4) : 0;
}

/**
 * 1 where there are few queries, 0 where there are more. Where extents tell at each run, both ways to work are among the launches, and the grids of
 * the one that is not wanted are empty: one program for all lengths.
 */
function isDecode({ queries }: Sizes, { mostQueries }: DecodePlan): Expr {
  if (dimMax(queries) <= mostQueries) return 1;
  return dimMin(queries) > mostQueries ? 0 : sub(1, atLeast(queries, mostQueries + 1));
}

function decode(step: Step, plan: DecodePlan, wanted: Expr): Launch[] {
  const sizes = sizesOf(step);
  const { batch, queries, kvHeads, group, headDim, valueDim } = sizes;
  const { rows, simdgroups, isSplit, splits } = plan;
  const { kCodec, vCodec } = attentionAttrs(step.attrs);
  const shared = {
    shader: { file: "attention_decode" },
    constants: attentionConstants(step, rows, isSplit),
    args: attentionArguments(step, splits),
  };
  const records = recordBytes(sizes, plan);
  const out = output(step);
  // A threadgroup at least, so that integers are checked where there are no queries.
  const tiles = max(1, ceilDiv(mul(queries, group), rows));
  const attend: Launch = {
    ...shared,
    function: `attention_decode_${plan.variant.join("_")}`,
    buffers: [...attentionBuffers(step), write(out), isSplit ? scratch("write", 0, records) : { kind: "none" }, status("atomic")],
    threadgroupBytes: [
      rows * Math.max(rowFloats(headDim), rowFloats(valueDim)) * 4,
      simdgroups * SIMDGROUP * rows * 4,
      ...[kCodec, vCodec].map(tableBytes),
    ],
    grid: { threadgroups: [mul(splits, wanted), mul(tiles, kvHeads), batch] },
    threadsPerThreadgroup: [simdgroups * SIMDGROUP, 1, 1],
  };
  if (!isSplit) return [attend];
  const merge: Launch = {
    ...shared,
    function: "attention_merge",
    buffers: [scratch("read", 0, records), read(step.inputs[6]), write(out)],
    threadgroupBytes: [rowFloats(valueDim) * 4],
    grid: { threadgroups: [mul(mul(queries, group), wanted), kvHeads, batch] },
    threadsPerThreadgroup: [Math.ceil(rowFloats(valueDim) / 4 / SIMDGROUP) * SIMDGROUP, 1, 1],
  };
  return [attend, merge];
}

function prefill(step: Step, wanted: Expr): Launch {
  const sizes = sizesOf(step);
  const { batch, queries, kvHeads, group, headDim, valueDim } = sizes;
  const [rows, chunks] = prefillVariant(sizes);
  const { kCodec, vCodec } = attentionAttrs(step.attrs);
  return {
    shader: { file: "attention_prefill" },
    function: `attention_prefill_${rows}_${chunks}`,
    constants: attentionConstants(step, rows, false),
    args: attentionArguments(step, 1),
    buffers: [...attentionBuffers(step), write(output(step)), status("atomic")],
    threadgroupBytes: [rows * 32 * Math.ceil(Math.max(headDim, valueDim) / 8), ...[kCodec, vCodec].map(tableBytes)],
    grid: { threadgroups: [mul(ceilDiv(mul(queries, group), rows), wanted), kvHeads, batch] },
    threadsPerThreadgroup: [4 * SIMDGROUP, 1, 1],
  };
}

function launches(step: Step): readonly Launch[] {
  const sizes = sizesOf(step);
  const plan = decodePlan(sizes);
  const few = isDecode(sizes, plan);
  return [...(few === 0 ? [] : decode(step, plan, few)), ...(few === 1 ? [] : [prefill(step, sub(1, few))])];
}

/** At the upper bounds of extents. */
function scratchBytes(node: NodeView): number {
  const sizes = sizesOf(node);
  const plan = decodePlan(sizes);
  if (isDecode(sizes, plan) === 0) return 0;
  const { batch, queries, capacity } = sizes;
  const largest = { ...sizes, batch: dimMax(batch), queries: dimMax(queries), capacity: dimMax(capacity) };
  return Number(recordBytes(largest, { ...plan, splits: decodePlan(largest).splits }));
}

const wrongPlaces = ["kvLen", "ringStart", "qPos", "slots"] as const;
const farthest = 2n ** 53n;
function refusal(_: Step, { code, values: [sequence, most, given] }: Refusal): string {
  const name = wrongPlaces[code - 1] ?? "";
  return `${name} of sequence ${sequence}: expected ${name === "qPos" ? -farthest : 0} to ${most}, got ${given}`;
}

/** Attention over a cache or over fresh keys: shaders/attention_decode.metal for few queries, shaders/attention_prefill.metal for more. */
export const attentionKernels: readonly MetalKernel[] = [
  kernel("attention", {
    accepts: (node) => reasons(hasF64(...node.inputs), attentionRefusal(node, maxHeadDim)),
    scratchBytes,
    launches,
    refusal,
  }),
];
