import { dimMax, type DType } from "@rlxjs/ir";
import type { Kernel, NodeView } from "@rlxjs/runtime";

/** Of native/cpu/attention.h: widest head, keys per range, rows per task; the widest vector. */
const maxHeadDim = 256;
const range = 256;
const rowTile = 32;
const maxLanes = 16;

const floats: readonly DType[] = ["f32", "f16", "bf16"];
const names = ["q", "k", "v", "mask", "qPos", "kvLen", "sinks"] as const;

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
}
const attrsOf = (node: NodeView): AttentionAttrs => node.attrs as unknown as AttentionAttrs;
const valueDim = (node: NodeView): number => dimMax(node.outputs[0]?.shape[2] ?? 0) / attrsOf(node).numHeads;

/** Room for the partial results of a call whose key ranges run as tasks of their own: those with one tile of rows. */
function scratchBytes(node: NodeView): number {
  const { numHeads, numKvHeads, kvLayout } = attrsOf(node);
  const [q, k] = node.inputs;
  const slots = dimMax(k?.shape[kvLayout === "token" ? 1 : 2] ?? 0);
  const rows = Math.min(dimMax(q?.shape[1] ?? 0) * (numHeads / numKvHeads), rowTile);
  const record = Math.ceil(valueDim(node) / maxLanes) * maxLanes + 2;
  return dimMax(q?.shape[0] ?? 0) * numKvHeads * Math.ceil(slots / range) * rows * record * 4;
}

/** Attention over a cache or over fresh keys: native/cpu/attention.cpp. */
export const attentionKernel: Kernel = {
  op: "attention",
  accepts: (node) => {
    const { headDim } = attrsOf(node);
    if (Math.max(headDim, valueDim(node)) > maxHeadDim) return `heads wider than ${maxHeadDim}`;
    for (const [i, name] of names.entries()) {
      const t = node.inputs[i];
      const integer = name === "qPos" || name === "kvLen";
      if (t && !integer && !floats.includes(t.dtype) && !(name === "mask" && t.dtype === "bool")) return `${name} of dtype ${t.dtype}`;
    }
    return true;
  },
  emit: (node) => {
    const a = attrsOf(node);
    const scale = a.scale ?? 1 / Math.sqrt(a.headDim);
    const flags = [a.causal, a.maskKind === "keep", a.kvLayout === "head"].map(Number);
    return {
      kernel: "attention",
      params: [a.numHeads, a.numKvHeads, a.headDim, scale, a.softcap ?? 0, a.window ?? 0, ...flags],
      scratchBytes: scratchBytes(node),
    };
  },
};
