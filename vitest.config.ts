import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["@rlxjs/source"] },
  ssr: { resolve: { conditions: ["@rlxjs/source"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts", "docs/test/**/*.test.ts", "bench/test/**/*.test.ts", "native/softmetal/test/**/*.test.ts"],
    setupFiles: ["packages/backend-cpu/test/setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Only what hangs is ended: tests that compile shaders take long on a busy machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
