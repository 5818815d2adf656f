// Builds the addon with sanitizers and runs this package's tests of native code on it.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const run = (command, args, env = {}) => {
  const { status } = spawnSync(command, args, { stdio: "inherit", cwd: resolve(root, "../.."), env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
};
const library = (name) => spawnSync(process.env.CXX ?? "c++", [`-print-file-name=${name}`], { encoding: "utf8" }).stdout.trim();

run(process.execPath, [resolve(root, "scripts/build-native.mjs"), "--sanitize"]);
run("npx", ["vitest", "run", "packages/backend-cpu/test/conformance.test.ts", "packages/backend-cpu/test/native"], {
  RLXJS_NATIVE_BUILD: resolve(root, "build/sanitize/Release"),
  // The sanitizer has to be in the process before the addon is. Node itself leaks at exit by design.
  LD_PRELOAD: library("libasan.so"),
  ASAN_OPTIONS: "detect_leaks=0",
  UBSAN_OPTIONS: "print_stacktrace=1",
});
