import { RlxError, type Tensor } from "@rlxjs/ir";
import { type Backend, type DeviceBuffer, libraryVersion } from "@rlxjs/runtime";
import { ReferenceExecutable } from "./executable.ts";

/** The CPU without native code: every op runs by its TypeScript reference. Slow, and right by definition. */
export function createReferenceBackend(): Backend {
  return {
    info: { device: "cpu", description: "TypeScript references, 1 thread", threads: 1, kernelLibrary: `reference-${libraryVersion}` },
    kernels: [],
    allocate: (bytes): DeviceBuffer => ({ bytes: new Uint8Array(bytes), [Symbol.dispose]: () => undefined }),
    pack: async (weight, layout) => refuse(weight, layout),
    packSync: refuse,
    load: (program, bound) => new ReferenceExecutable(program, bound),
    [Symbol.dispose]: () => undefined,
  };
}

function refuse(weight: Tensor, layout: string): never {
  throw new RlxError("ERR_LAYOUT", `weight ${weight.dtype}[${weight.shape}]: the reference backend has no layout "${layout}"`);
}
