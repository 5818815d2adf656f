import { axisAttr, flagAttr, type Kernel, listAttr, type NodeView, numberAttr, reasons } from "@rlxjs/runtime";
import { kernel } from "./checks.ts";

/** MOST_SELECTED of native/cpu/select.h. */
const mostSelected = 256;

const axesMask = ({ inputs, attrs }: NodeView): number[] => {
  const rank = inputs[0]?.shape.length ?? 0;
  return [listAttr(attrs, "axes").reduce((mask, a) => mask | (1 << (a < 0 ? a + rank : a)), 0)];
};
const notTooMany = ({ attrs }: NodeView): true | string => {
  const k = numberAttr(attrs, "k");
  return reasons(k > mostSelected && `k ${k}, at most ${mostSelected} are supported`);
};

/** native/cpu/reduce.cpp, select.cpp, scan.cpp and route.cpp: every float and integer dtype. */
export const reduceKernels: readonly Kernel[] = [
  ...["reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min"].map((op) => kernel(op, { params: axesMask })),
  kernel("argmax", { params: (node) => [axisAttr(node)] }),
  kernel("argmin", { params: (node) => [axisAttr(node)] }),
  kernel("topk", { accepts: notTooMany }),
  kernel("cumsum", { params: (node) => [axisAttr(node), flagAttr(node.attrs, "exclusive"), flagAttr(node.attrs, "reverse")] }),
  kernel("moe_route", {
    accepts: notTooMany,
    params: ({ attrs }) => [flagAttr(attrs, "normalize"), attrs.scoring === "sigmoid" ? 1 : 0],
  }),
];
