import { define } from "@rlxjs/ir";
import { Session } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";
import { pipelinedSuite } from "../../runtime/test/suites/pipelined.ts";
import "@rlxjs/backend-cpu";

describe.each(["reference", "native"] as const)("%s kernels", (kernels) => pipelinedSuite(() => Session.open({ device: "cpu", kernels })));

test("the event loop is free while queued runs work", async () => {
  using session = await Session.open({ device: "cpu" });
  const slow = define("slow", (g) => {
    let x = g.input("x", "f32", [256, 256]);
    for (let i = 0; i < 20; i++) x = g.softmax(g.matmul(x, x));
    return { y: x };
  });
  using compiled = await session.compile(slow);
  const inputs = { x: new Float32Array(256 * 256).fill(0.01) };
  let longest = 0;
  let before = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - before);
    before = performance.now();
  }, 1);
  const started = performance.now();
  await compiled.runPipelined(Array.from({ length: 10 }, () => ({ inputs, read: [] })));
  clearInterval(timer);
  expect(longest).toBeLessThan((performance.now() - started) / 2);
});
