import { loadAddon, useNativeBuild } from "@rlxjs/backend-cpu";

// The tests of a sanitizer build are the same tests on another addon; on the references they would pass too, so it has to load.
const { RLXJS_NATIVE_BUILD: build, RLXJS_METAL_BUILD: metalBuild } = process.env;
const required = ({ reason }: { readonly reason?: string }): void => {
  if (reason !== undefined) throw new Error(reason);
};
if (build !== undefined) {
  useNativeBuild(build);
  required(loadAddon());
}
if (metalBuild !== undefined) {
  const { loadMetalAddon, useMetalBuild } = await import("@rlxjs/backend-metal");
  useMetalBuild(metalBuild);
  required(loadMetalAddon());
}
