import { dimMax, type DType, kvCodecNumber } from "@rlxjs/ir";
import type { Kernel, NodeView } from "@rlxjs/runtime";

/** Of native/cpu/attention.h: widest head, keys per range, rows per task, floats behind a row's values; what vectors are filled up to. */
const maxHeadDim = 512;
const range = 256;
const rowTile = 32;
const recordTail = 16;
const laneGroup = 32;

const floats: readonly DType[] = ["f32", "f16", "bf16"];
/** Which dtypes each operand may have; other operands are integers. */
const accepted: Readonly<Record<string, readonly DType[]>> = {
  q: floats,
  k: [...floats, "q8_0", "u8"],
  v: [...floats, "q8_0", "u8"],
  mask: [...floats, "bool"],
  sinks: floats,
  kNorms: ["f32"],
  vNorms: ["f32"],
};

interface AttentionAttrs {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly scale?: number;
  readonly softcap?: number;
  readonly window?: number;
  readonly causal: boolean;
  readonly maskKind: "none" | "keep" | "bias";
  readonly kvLayout: "token" | "head";
  readonly kCodec?: string;
  readonly vCodec?: string;
}
const attrsOf = (node: NodeView): AttentionAttrs => node.attrs as unknown as AttentionAttrs;
const valueDim = (node: NodeView): number => dimMax(node.outputs[0]?.shape[2] ?? 0) / attrsOf(node).numHeads;
const filledUp = (n: number): number => Math.ceil(n / laneGroup) * laneGroup;

/** Room for queries and partial results of a call whose key ranges run as tasks of their own: those with one tile of rows. */
function scratchBytes(node: NodeView): number {
  const { numHeads, numKvHeads, headDim, kvLayout } = attrsOf(node);
  const [q, k] = node.inputs;
  const capacity = dimMax(k?.shape[kvLayout === "token" ? 1 : 2] ?? 0);
  const rows = Math.min(dimMax(q?.shape[1] ?? 0) * (numHeads / numKvHeads), rowTile);
  const record = filledUp(valueDim(node)) + recordTail;
  return dimMax(q?.shape[0] ?? 0) * numKvHeads * rows * (filledUp(headDim) + Math.ceil(capacity / range) * record) * 4;
}

/** Attention over a cache or over fresh keys: native/cpu/attention.cpp. */
export const attentionKernel: Kernel = {
  op: "attention",
  accepts: (node) => {
    const { headDim } = attrsOf(node);
    if (Math.max(headDim, valueDim(node)) > maxHeadDim) return `heads wider than ${maxHeadDim}`;
    for (const [i, { name }] of node.def.inputs.entries()) {
      const t = node.inputs[i];
      if (t && accepted[name] && !accepted[name].includes(t.dtype)) return `${name} of dtype ${t.dtype}`;
    }
    return true;
  },
  emit: (node) => {
    const a = attrsOf(node);
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
