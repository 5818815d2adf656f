// Builds the addon for software Metal with AddressSanitizer and UBSan and runs the tests of the host on it; arguments go to vitest.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { arch, argv, env, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const run = (args, extra = {}) => {
  const { status } = spawnSync(execPath, args, { stdio: "inherit", cwd: root, env: { ...env, ...extra } });
  if (status !== 0) exit(status ?? 1);
};
const machine = arch === "arm64" ? "aarch64" : "x86_64";
const sanitizer = spawnSync("clang++-19", [`-print-file-name=libclang_rt.asan-${machine}.so`], { encoding: "utf8" }).stdout.trim();
// Kernels are not built with these sanitizers, so tests of kernels would tell nothing new.
const host = ["barriers", "encode", "errors", "handles", "memory", "lifetimes", "pipelined", "prepare", "runs", "states"];

run(["packages/backend-metal/scripts/build-native.mjs", "--sanitize"]);
const tests = host.map((name) => `packages/backend-metal/test/${name}.test.ts`);
run(["node_modules/vitest/vitest.mjs", "run", "--testTimeout=240000", ...tests, ...argv.slice(2)], {
  RLXJS_METAL_BUILD: resolve(root, "packages/backend-metal/build/sanitize/Release"),
  // Node itself is not instrumented: the sanitizers have to be in the process before the addon is.
  LD_PRELOAD: sanitizer,
  // Node leaves its own memory to the operating system. Fibers are stacks that the sanitizer does not know.
  ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1:detect_stack_use_after_return=0",
  UBSAN_OPTIONS: "halt_on_error=1:print_stacktrace=1",
});
