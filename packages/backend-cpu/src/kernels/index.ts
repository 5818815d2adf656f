import type { Kernel } from "@rlxjs/runtime";
import { attentionKernel } from "./attention.ts";
import { copyKernels } from "./copy.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { kvKernels } from "./kv.ts";
import { linearKernels } from "./linear.ts";
import { normKernels } from "./norm.ts";
import { reduceKernels } from "./reduce.ts";
import { ropeKernels } from "./rope.ts";

/** Native kernels by op; the first that accepts a node takes it. */
export const nativeKernels: readonly Kernel[] = [
  ...elementwiseKernels,
  ...normKernels,
  ...reduceKernels,
  ...copyKernels,
  ...kvKernels,
  ...ropeKernels,
  ...linearKernels,
  attentionKernel,
];
