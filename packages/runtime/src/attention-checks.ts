import { type AttentionAttrs, type AttrRecord, type Dim, type DType, dimMax } from "@rlxjs/ir";
import type { NodeView } from "./backend.ts";

const floats: readonly DType[] = ["f32", "f16", "bf16"];
/** Which dtypes each operand of an attention kernel may have; other operands are integers. */
const accepted: Readonly<Record<string, readonly DType[]>> = {
  q: floats,
  k: [...floats, "q8_0", "u8"],
  v: [...floats, "q8_0", "u8"],
  mask: [...floats, "bool"],
  sinks: floats,
  kNorms: ["f32"],
  vNorms: ["f32"],
};

/** Checked against the op's record; this only gives them their types back. */
export const attentionAttrs = (attrs: AttrRecord): AttentionAttrs => attrs as unknown as AttentionAttrs;

/** Values of a head of the result of a node or of a step. */
export const attentionValueDim = (of: {
  readonly attrs: AttrRecord;
  readonly outputs: readonly { readonly shape: readonly Dim[] }[];
}): number => dimMax(of.outputs[0]?.shape[2] ?? 0) / attentionAttrs(of.attrs).numHeads;

/** Why an attention kernel of heads up to `widest` values does not take a node; undefined when it does. */
export function attentionRefusal(node: NodeView, widest: number): string | undefined {
  const wrong = [...node.def.inputs.entries()].flatMap(([i, { name }]) => {
    const dtype = node.inputs[i]?.dtype;
    return dtype && accepted[name] && !accepted[name].includes(dtype) ? [`${name} of dtype ${dtype}`] : [];
  });
  const tooWide = Math.max(attentionAttrs(node.attrs).headDim, attentionValueDim(node)) > widest;
  return tooWide ? `heads wider than ${widest}` : wrong[0];
}
