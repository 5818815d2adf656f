import { DeviceUnavailableError, registerBackend } from "@rlxjs/runtime";
import { loadAddon } from "./addon.ts";
import { createNativeBackend } from "./native.ts";
import { createReferenceBackend } from "./reference/backend.ts";

export { type Addon, loadAddon, useNativeBuild } from "./addon.ts";
export { createNativeBackend, defaultThreads, type NativeBackend, type NativeOptions } from "./native.ts";
export { nativeKernels } from "./kernels/index.ts";
export { createReferenceBackend } from "./reference/backend.ts";
export { type Memory, ReferenceSteps } from "./reference/steps.ts";

let warned = false;

registerBackend("cpu", async (options) => {
  if (options.kernels === "reference") return createReferenceBackend();
  const { addon, reason } = loadAddon();
  if (addon) return createNativeBackend(addon, options);
  if (options.kernels === "native")
    throw new DeviceUnavailableError("cpu", ["cpu with reference kernels"], `no native kernels (${reason})`);
  if (!warned)
    console.warn(
      `rlxjs: no native CPU kernels (${reason}): running on the TypeScript references, which are far slower. ` +
        "`npm run build:native` builds them; it needs a C++17 compiler and cmake.",
    );
  warned = true;
  return createReferenceBackend();
});
