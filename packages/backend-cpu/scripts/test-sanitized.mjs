// Builds the addon with AddressSanitizer and UBSan and runs this package's tests on it; arguments go to vitest.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { argv, env, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const run = (args, extra = {}) => {
  const { status } = spawnSync(execPath, args, { stdio: "inherit", cwd: root, env: { ...env, ...extra } });
  if (status !== 0) exit(status ?? 1);
};
const library = (name) => spawnSync(env.CXX ?? "c++", [`-print-file-name=${name}`], { encoding: "utf8" }).stdout.trim();

run(["packages/backend-cpu/scripts/build-native.mjs", "--sanitize"]);
run(["node_modules/vitest/vitest.mjs", "run", "packages/backend-cpu", ...argv.slice(2)], {
  RLXJS_NATIVE_BUILD: resolve(root, "packages/backend-cpu/build/sanitize/Release"),
  // Node itself is not instrumented: the sanitizers have to be in the process before the addon is.
  LD_PRELOAD: ["libasan.so", "libubsan.so", "libstdc++.so"].map(library).join(" "),
  // Node leaves its own memory to the operating system.
  ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1",
  UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
});
