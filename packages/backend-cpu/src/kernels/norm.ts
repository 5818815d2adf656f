import { axisAttr, type Kernel, notFloat, numberAttr, reasons } from "@rlxjs/runtime";
import { kernel } from "./checks.ts";

const floats = { accepts: (node: Parameters<Kernel["accepts"]>[0]) => reasons(notFloat(...node.inputs)) };
const eps = { ...floats, params: (node: Parameters<Kernel["emit"]>[0]) => [numberAttr(node.attrs, "eps")] };
const axis = { ...floats, params: (node: Parameters<Kernel["emit"]>[0]) => [axisAttr(node)] };

/** native/cpu/norm.cpp and softmax.cpp: every float dtype. */
export const normKernels: readonly Kernel[] = [
  kernel("rms_norm", eps),
  kernel("layer_norm", eps),
  kernel("residual_rms_norm", eps),
  kernel("residual_layer_norm", eps),
  kernel("group_norm", { ...floats, params: (node) => [numberAttr(node.attrs, "groups"), numberAttr(node.attrs, "eps")] }),
  kernel("softmax", axis),
  kernel("log_softmax", axis),
];
