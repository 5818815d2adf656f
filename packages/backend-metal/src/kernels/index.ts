import type { MetalKernel } from "../launch.ts";
import { attentionKernels } from "./attention.ts";
import { copyKernels } from "./copy.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { embeddingKernels } from "./embedding.ts";
import { gatherKernels } from "./gather.ts";
import { kvKernels } from "./kv.ts";
import { linearKernels } from "./linear.ts";
import { normKernels } from "./norm.ts";
import { reduceKernels } from "./reduce.ts";
import { ropeKernels } from "./rope.ts";
import { routeKernels } from "./route.ts";
import { selectKernels } from "./select.ts";

/** By op; the first that accepts a node takes it. */
export const metalKernels: readonly MetalKernel[] = [
  ...attentionKernels,
  ...elementwiseKernels,
  ...selectKernels,
  ...routeKernels,
  ...reduceKernels,
  ...normKernels,
  ...gatherKernels,
  ...copyKernels,
  ...linearKernels,
  ...embeddingKernels,
  ...kvKernels,
  ...ropeKernels,
];
