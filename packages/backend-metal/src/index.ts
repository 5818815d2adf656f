import { DeviceUnavailableError, registerBackend, registeredDevices } from "@rlxjs/runtime";
import { platformPackage } from "@rlxjs/runtime/node";
import { loadMetalAddon } from "./addon.ts";
import { createMetalBackend } from "./backend.ts";

export { loadMetalAddon, type MetalAddon, type SoftwareFault, type SoftwareMetal, type SoftwareOptions, useMetalBuild } from "./addon.ts";
export { createMetalBackend, type MetalBackend, type MetalOptions } from "./backend.ts";
export * from "./expr.ts";
export { metalKernels } from "./kernels/index.ts";
export * from "./launch.ts";
export { type MetalPlan, type PlannedLaunch, planProgram } from "./plan.ts";

/** What a person can do about a missing addon. */
const remedy =
  process.platform === "darwin"
    ? `install ${platformPackage}, or build it in a checkout with "npm run build:metal"`
    : process.platform === "linux"
      ? 'there is no Metal on Linux; to test with software Metal: "npm run setup:softmetal" and "npm run build:metal" in a checkout'
      : "Metal needs macOS 13 or later";

registerBackend("metal", async (options) => {
  const { addon, reason } = loadMetalAddon();
  const others = registeredDevices().filter((device) => device !== "metal");
  if (!addon) throw new DeviceUnavailableError("metal", others, `no addon for Metal (${reason}); ${remedy}`);
  return createMetalBackend(addon, options);
});
