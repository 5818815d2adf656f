import { RlxError, type Tensor } from "@rlxjs/ir";
import {
  type Backend,
  type BackendOptions,
  libraryVersion,
  type MappedFile,
  type Program,
  runAtOnce,
  runInSlices,
  type Work,
} from "@rlxjs/runtime";
import type { MetalAddon } from "./addon.ts";
import { MetalDevice, type MetalDeviceOptions } from "./device.ts";
import { encodeWork } from "./encode.ts";
import type { RefusalText } from "./executable.ts";
import { metalKernels } from "./kernels/index.ts";
import type { MetalKernel } from "./launch.ts";
import { planWork } from "./plan.ts";
import { MetalProgram } from "./program.ts";
import { shadersHash } from "./shaders.ts";

export interface MetalOptions extends BackendOptions, MetalDeviceOptions {
  /** Other kernels than all of this package, for tests. */
  readonly metalKernels?: readonly MetalKernel[];
}

export interface MetalBackend extends Backend {
  mapFile(path: string): MappedFile;
}

/** The system's GPU, or software Metal where the addon was built for that. Nothing of a graph runs on the CPU. */
export function createMetalBackend(addon: MetalAddon, options: MetalOptions = {}): MetalBackend {
  if (options.kernels === "reference")
    throw new RlxError(
      "ERR_OPTION",
      'kernels: expected "native" or nothing for device "metal", got "reference": references run on device "cpu"',
    );
  if (options.threads !== undefined)
    throw new RlxError("ERR_OPTION", `threads: expected nothing for device "metal", which computes on the GPU, got ${options.threads}`);
  const kernels = options.metalKernels ?? metalKernels;
  const device = new MetalDevice(addon, options);
  function* planned(program: Program): Work<MetalProgram> {
    const plan = yield* planWork(program, kernels);
    return new MetalProgram(device, program, yield* encodeWork(program, plan), refusalText(program, kernels));
  }
  return {
    info: {
      device: "metal",
      description: device.description.name,
      threads: 1,
      kernelLibrary: `metal-${libraryVersion}-${shadersHash().slice(0, 16)}`,
    },
    kernels,
    hostSteps: false,
    allocate: (bytes) => device.allocate(bytes),
    pack: async (weight, layout) => refuse(weight, layout),
    packSync: refuse,
    load: (program, bound) => runAtOnce(planned(program)).load(bound),
    prepare: async (program) => (await runInSlices(planned(program))).prepare(),
    mapFile: (path) => device.mapFile(path),
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}

/** Weights are used as they are stored. */
function refuse(weight: Tensor, layout: string): never {
  throw new RlxError("ERR_LAYOUT", `weight ${weight.dtype}[${weight.shape}]: the metal backend has no layout "${layout}"`);
}

const refusalText =
  (program: Program, kernels: readonly MetalKernel[]): RefusalText =>
  (index, refusal) => {
    const step = program.steps[index];
    const kernel = step && kernels.find((k) => k.name === step.kernel);
    return (step && kernel?.refusal?.(step, refusal)) ?? `operands refused with code ${refusal.code} (${refusal.values.join(", ")})`;
  };
