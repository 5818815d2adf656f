import { availableParallelism } from "node:os";
import { dtypeCode, RlxError, type Tensor } from "@rlxjs/ir";
import { type Backend, type BackendOptions, type DeviceBuffer, libraryVersion, type MappedFile } from "@rlxjs/runtime";
import { mapFile } from "@rlxjs/runtime/node";
import type { Addon } from "./addon.ts";
import { nativeKernels } from "./kernels/index.ts";
import { LoadedProgram } from "./native-executable.ts";

export interface NativeOptions extends BackendOptions {
  /** One of `cpuInfo().isas`; default: the best one. Results of different instruction sets agree within their error bounds. */
  readonly isa?: string;
}

export interface NativeBackend extends Backend {
  /** Bytes per second that the backend's threads read from memory, over a block of `bytes`. */
  measureBandwidth(bytes: number): number;
  mapFile(path: string): MappedFile;
}

const isaNames: Readonly<Record<string, string>> = {
  sse42: "SSE4.2",
  avx2: "AVX2",
  avx512: "AVX-512",
  avx512vnni: "AVX-512 (VNNI)",
  avx512bf16: "AVX-512 (VNNI, BF16)",
  neon: "NEON",
  dotprod: "NEON (dot product)",
};

/** Cores - 1, at least 1: one is left to the event loop. */
export const defaultThreads = (): number => Math.max(1, availableParallelism() - 1);

/** The CPU with native kernels. */
export function createNativeBackend(addon: Addon, options: NativeOptions = {}): NativeBackend {
  const threads = options.threads ?? defaultThreads();
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new RlxError("ERR_OPTION", `threads: expected an integer from 1 to 1024, got ${threads}`);
  const { isas } = addon.cpuInfo();
  if (options.isa !== undefined && !isas.includes(options.isa))
    throw new RlxError("ERR_OPTION", `isa: expected one of ${isas.join(", ")}, got "${options.isa}"`);
  const engine = new addon.Engine(threads, options.isa ?? "");
  const { isa } = engine;
  return {
    info: {
      device: "cpu",
      description: `native ${isaNames[isa] ?? isa}, ${threads} thread${threads === 1 ? "" : "s"}`,
      threads,
      kernelLibrary: `native-${isa}-${libraryVersion}`,
    },
    kernels: nativeKernels,
    allocate: (bytes): DeviceBuffer => {
      const memory = addon.allocate(bytes);
      return { bytes: memory, [Symbol.dispose]: () => addon.detach(memory) };
    },
    pack: async (weight, layout) => engine.pack(layout, ...rowsOf(weight)),
    packSync: (weight, layout) => engine.packSync(layout, ...rowsOf(weight)),
    load: (program, bound) => new LoadedProgram(engine, program, bound),
    mapFile: (path) => mapFile(addon, path),
    measureBandwidth: (bytes) => engine.measureBandwidth(bytes),
    [Symbol.dispose]: () => engine.close(),
  };
}

/** A weight as the rows that packing sees: dtype, n, k, bytes. */
function rowsOf(weight: Tensor): [dtype: number, n: number, k: number, bytes: Uint8Array<ArrayBuffer>] {
  const k = weight.shape.at(-1) ?? 1;
  return [dtypeCode(weight.dtype), k === 0 ? 0 : weight.size / k, k, weight.bytes];
}
