import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { reportText } from "../../../scripts/mac-report.mjs";
import { root } from "./cli.ts";

test.runIf(process.platform !== "darwin")("elsewhere, test:mac says what it needs", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/test-mac.mjs"], { cwd: root, encoding: "utf8" });
  expect(status).toBe(1);
  expect(stderr).toContain(`needs a Mac with Apple silicon, this is ${process.platform} ${process.arch}`);
});

test("the report is text that a person reads", () => {
  const bench = { device: "Apple M1", compileMs: 812.4, promptTokens: 256, prefillTokensPerSecond: 1234.5, generatedTokens: 128 };
  const gpu = { gpuMicrosPerToken: 1500, launchesPerToken: 80, barriersPerToken: 70, commandBuffersPerToken: 1 };
  const report = {
    made: "2026-01-02T03:04:05.000Z",
    commit: "0123abc",
    node: "v20.20.2",
    system: { macOS: "15.1", GPU: "Apple M1, 8 cores" },
    devices: [
      { device: "cpu", description: "native NEON" },
      { device: "metal", unavailable: "no addon" },
    ],
    suites: [{ name: "packages/backend-metal/test", passed: 10, failed: 1, failures: [{ test: "softmax", message: "is 1\nexpected 2" }] }],
    speed: {
      "On metal": { ...bench, ...gpu, decodeTokensPerSecond: 400, readBandwidth: 60e9 },
      "On cpu": { ...bench, decodeTokensPerSecond: 90.06, readBandwidth: null, launchesPerToken: null },
    },
    problems: ["sysctl: not found"],
  };
  expect(reportText(report)).toMatchInlineSnapshot(`
    "rlxjs on a Mac, 2026-01-02T03:04:05.000Z

      commit        0123abc
      node          v20.20.2
      macOS         15.1
      GPU           Apple M1, 8 cores
      device cpu    native NEON
      device metal  not available: no addon

    Tests
      packages/backend-metal/test  10 passed, 1 failed

    On metal
      device                                         Apple M1
      compile                                        812 ms
      prefill of 256                                 1234.5 tokens/s
      decode of 128                                  400.0 tokens/s
      bandwidth                                      60.0 GB/s
      GPU time per token                             1500 us
      launches, barriers, command buffers per token  80.0, 70.0, 1.0

    On cpu
      device          Apple M1
      compile         812 ms
      prefill of 256  1234.5 tokens/s
      decode of 128   90.1 tokens/s
      bandwidth       not measured

    Problems
      sysctl: not found

    Failed tests
      softmax
        is 1
        expected 2
    "
  `);
});
