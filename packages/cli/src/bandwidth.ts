import { createNativeBackend, loadAddon } from "@rlxjs/backend-cpu";
import { define, Tensor } from "@rlxjs/ir";
import { type DeviceInfo, gpuCountsSince, Session } from "@rlxjs/runtime";

/** Read in one go: larger than caches. */
const cpuBytes = 2 ** 28;
/** Read and written: both together are larger than the caches of GPUs. */
const gpuElements = 2 ** 25;

/** Bytes per second that a device moves: the CPU's threads read, a GPU copies. null: the device cannot tell. */
export async function measureBandwidth({ device, threads }: DeviceInfo): Promise<number | null> {
  if (device !== "cpu") return measureGpuCopy(device);
  const { addon } = loadAddon();
  if (!addon) return null;
  using backend = createNativeBackend(addon, { threads });
  return backend.measureBandwidth(cpuBytes);
}

/** By the GPU's own clock; the second run, when all memory has been touched. */
async function measureGpuCopy(device: DeviceInfo["device"]): Promise<number | null> {
  using session = await Session.open({ device });
  using compiled = await session.compile(define("copy", (g) => ({ y: g.neg(g.input("x", "f32", [gpuElements])) })));
  compiled.bindGpuHandle("x", Tensor.zeros("f32", [gpuElements]));
  const run = () => compiled.run({ read: [], keep: ["y"] });
  await run();
  const before = compiled.stats().gpu;
  await run();
  const { gpu } = compiled.stats();
  if (!gpu) return null;
  const { gpuMicros } = gpuCountsSince(gpu, before);
  return gpuMicros > 0 ? (2 * 4 * gpuElements * 1e6) / gpuMicros : null;
}
