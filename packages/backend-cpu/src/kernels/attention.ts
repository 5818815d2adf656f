import { dimMax, kvCodecNumber } from "@rlxjs/ir";
import { attentionAttrs, attentionRefusal, attentionValueDim, type Kernel, type NodeView, reasons } from "@rlxjs/runtime";

/** Of native/cpu/attention.h: widest head, keys per range, rows per task, floats behind a row's values; what vectors are filled up to. */
const maxHeadDim = 512;
const range = 256;
const rowTile = 32;
const recordTail = 16;
const laneGroup = 32;

const filledUp = (n: number): number => Math.ceil(n / laneGroup) * laneGroup;

/** Room for queries and partial results of a call whose key ranges run as tasks of their own: those with one tile of rows. */
function scratchBytes(node: NodeView): number {
  const { numHeads, numKvHeads, headDim, kvLayout } = attentionAttrs(node.attrs);
  const [q, k] = node.inputs;
  const capacity = dimMax(k?.shape[kvLayout === "token" ? 1 : 2] ?? 0);
  const rows = Math.min(dimMax(q?.shape[1] ?? 0) * (numHeads / numKvHeads), rowTile);
  const record = filledUp(attentionValueDim(node)) + recordTail;
  return dimMax(q?.shape[0] ?? 0) * numKvHeads * rows * (filledUp(headDim) + Math.ceil(capacity / range) * record) * 4;
}

/** Attention over a cache or over fresh keys: native/cpu/attention.cpp. */
export const attentionKernel: Kernel = {
  op: "attention",
  accepts: (node) => reasons(attentionRefusal(node, maxHeadDim)),
  emit: (node) => {
    const a = attentionAttrs(node.attrs);
    const scale = a.scale ?? 1 / Math.sqrt(a.headDim);
    const flags = [a.causal, a.maskKind === "keep", a.kvLayout === "head"].map(Number);
    const codecs = [a.kCodec, a.vCodec].map(kvCodecNumber);
    return {
      kernel: "attention",
      params: [a.numHeads, a.numKvHeads, a.headDim, scale, a.softcap ?? 0, a.window ?? 0, ...flags, ...codecs],
      scratchBytes: scratchBytes(node),
    };
  },
};
