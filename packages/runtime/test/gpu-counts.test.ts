import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { define, Tensor } from "@rlxjs/ir";
import { type Backend, gpuCountsSince, registerBackend, Session, sumGpuCounts } from "@rlxjs/runtime";
import { expect, test } from "vitest";

const perRun = { commandBuffers: 1, waits: 1, launches: 7, barriers: 3, copiedBytes: 64, gpuMicros: 12.5 };

/** The references, with the counters of a GPU. */
function counting(): Backend {
  const backend = createReferenceBackend();
  return {
    ...backend,
    load: (program, bound) => {
      const executable = backend.load(program, bound);
      const stats = () => {
        const all = executable.stats();
        const gpu = sumGpuCounts(Array.from({ length: all.runs }, () => perRun));
        return { ...all, ...(gpu ? { gpu } : {}) };
      };
      return {
        run: (call) => executable.run(call),
        runSync: (call) => executable.runSync(call),
        stats,
        [Symbol.dispose]: () => executable[Symbol.dispose](),
      };
    },
  };
}

test("what a GPU counts is there per graph, also after its params have changed, and only where there is a GPU", async () => {
  registerBackend("vulkan", async () => counting());
  using session = await Session.open({ device: "vulkan" });
  using compiled = session.compileSync(define("scale", (g) => ({ y: g.mul(g.input("x", "f32", [1]), g.param("w", "f32", [1])) })));
  const run = (w: number) => {
    compiled.setParam("w", Tensor.from("f32", [1], [w]));
    compiled.runSync({ inputs: { x: Float32Array.of(1) } });
  };
  run(1);
  const { gpu: first } = compiled.stats();
  expect(first).toEqual(perRun);
  run(2);
  run(3);
  const { gpu, compiles } = compiled.stats();
  expect([compiles, gpu?.launches, gpu?.gpuMicros]).toEqual([3, 21, 37.5]);
  expect(gpu && gpuCountsSince(gpu, first)).toMatchObject({ commandBuffers: 2, waits: 2, barriers: 6, copiedBytes: 128 });

  using cpu = await Session.open({ device: "cpu" });
  using plain = cpu.compileSync(define("plain", (g) => ({ y: g.neg(g.input("x", "f32", [1])) })));
  plain.runSync({ inputs: { x: Float32Array.of(1) } });
  expect("gpu" in plain.stats()).toBe(false);
});
