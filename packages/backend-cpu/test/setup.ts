import { useNativeBuild } from "@rlxjs/backend-cpu";

// The tests of a sanitizer build are the same tests on another addon.
const build = process.env.RLXJS_NATIVE_BUILD;
if (build !== undefined) useNativeBuild(build);
