import { flagAttr, type Kernel, notFloat, numberAttr, reasons } from "@rlxjs/runtime";
import { kernel } from "./checks.ts";

/** MOST_HEAD_DIM of native/cpu/rope.cpp. */
const mostHeadDim = 1024;

/** native/cpu/rope.cpp: every float dtype. */
export const ropeKernels: readonly Kernel[] = [
  kernel("rope_table", { params: ({ attrs }) => [numberAttr(attrs, "scale")] }),
  kernel("rope", {
    accepts: ({ attrs, inputs }) => {
      const dim = numberAttr(attrs, "headDim");
      return reasons(dim > mostHeadDim && `headDim ${dim}, at most ${mostHeadDim} is supported`, notFloat(...inputs));
    },
    params: ({ attrs }) => [numberAttr(attrs, "headDim"), flagAttr(attrs, "interleaved")],
  }),
];
