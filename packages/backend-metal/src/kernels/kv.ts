import type { MetalKernel } from "../launch.ts";
import { hadamardKernels } from "./hadamard.ts";
import { kvQuantizeKernels } from "./kv-quantize.ts";
import { kvWriteKernels } from "./kv-write.ts";

/** Everything that KV caches need besides attention. */
export const kvKernels: readonly MetalKernel[] = [...kvWriteKernels, ...kvQuantizeKernels, ...hadamardKernels];
