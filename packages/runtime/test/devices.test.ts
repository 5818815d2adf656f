import { deviceSupportsGpuKv, devices } from "@rlxjs/runtime";
import { expect, test } from "vitest";

test("devices that keep KV caches in memory of their own", () => {
  expect(devices.filter(deviceSupportsGpuKv)).toEqual(["cpu", "metal", "cuda", "mlx", "rocm", "gpu", "vulkan"]);
  expect(devices.filter((d) => !deviceSupportsGpuKv(d))).toEqual(["webgpu", "ane", "tpu", "opengl", "directx"]);
});
