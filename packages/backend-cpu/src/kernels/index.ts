import type { Kernel } from "@rlxjs/runtime";
import { elementwiseKernels } from "./elementwise.ts";

/** Native kernels by op. */
export const nativeKernels: readonly Kernel[] = [...elementwiseKernels];
