import { axisAttr, dimAttr, isBlockType, type Kernel, listAttr, type NodeView, numberAttr, reasons } from "@rlxjs/runtime";
import { kernel } from "./checks.ts";

const noBlocks = ({ inputs }: NodeView): true | string => reasons(inputs.some(isBlockType) && "block formats");
/** Blocks run along the last axis, which therefore stays last. */
const lastKept = ({ inputs, attrs }: NodeView): true | string => {
  const perm = listAttr(attrs, "perm");
  return reasons(isBlockType(inputs[0]) && perm.at(-1) !== perm.length - 1 && "a permuted axis of blocks");
};
const addable = ({ inputs, attrs }: NodeView): true | string => {
  const dtype = inputs[0]?.dtype;
  return reasons(
    attrs.reduce === "add" && (dtype === "f16" || dtype === "bf16") && `sums of ${dtype}, which would be rounded at every step`,
  );
};

/** native/cpu/copy.cpp, gather.cpp: every dtype, moved as bytes. */
export const copyKernels: readonly Kernel[] = [
  kernel("reshape", { kernel: "copy" }),
  kernel("state_write", { kernel: "copy" }),
  kernel("transpose", { accepts: lastKept, params: ({ attrs }) => listAttr(attrs, "perm") }),
  kernel("expand"),
  kernel("slice", { params: (node) => [axisAttr(node), dimAttr(node.attrs, "start")] }),
  kernel("concat", { params: (node) => [axisAttr(node)] }),
  kernel("pad", { accepts: noBlocks, params: ({ attrs }) => [numberAttr(attrs, "value"), ...listAttr(attrs, "before")] }),
  kernel("iota", { params: (node) => [axisAttr(node)] }),
  kernel("gather", { params: (node) => [axisAttr(node)] }),
  kernel("scatter", { accepts: addable, params: (node) => [axisAttr(node), node.attrs.reduce === "add" ? 1 : 0] }),
  kernel("embedding"),
  kernel("dequantize"),
];
