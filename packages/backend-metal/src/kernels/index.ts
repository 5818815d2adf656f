import type { MetalKernel } from "../launch.ts";
import { elementwiseKernels } from "./elementwise.ts";

/** By op; the first that accepts a node takes it. */
export const metalKernels: readonly MetalKernel[] = [...elementwiseKernels];
