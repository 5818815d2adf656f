import { loadAddon, useNativeBuild } from "@rlxjs/backend-cpu";

// The tests of a sanitizer build are the same tests on another addon; on the references they would pass too, so it has to load.
const build = process.env.RLXJS_NATIVE_BUILD;
if (build !== undefined) {
  useNativeBuild(build);
  const { reason } = loadAddon();
  if (reason !== undefined) throw new Error(reason);
}
