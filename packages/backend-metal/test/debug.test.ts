import { metalKernels } from "@rlxjs/backend-metal";
import { Rng, randomTensor } from "@rlxjs/ir";
import { debug, registerBackend, Session, traceRun, WeightStore } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { llama } from "../../runtime/test/support/llama.ts";
import type { MetalKernel } from "../src/launch.ts";
import { createVariant, describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";
import "@rlxjs/backend-cpu";

const graph = llama({ layers: 2, width: 16, heads: 4, kvHeads: 2, hidden: 24, vocab: 19, capacity: 8 });
const rng = new Rng(4);
const params = graph.nodes.flatMap(({ op, attrs, outputs: [value = 0] }) => {
  const { dtype = "f32", shape = [] } = graph.values[value] ?? {};
  return op === "param" ? [[String(attrs.name), randomTensor(rng, dtype, shape.map(Number), 0.3)] as const] : [];
});
const options = {
  weights: new WeightStore(Object.fromEntries(params)),
  inputs: { ids: new Int32Array([3, 1, 18]), pos: new Int32Array([0]) },
};

/** All kernels; the one of the second sigmoid has another constant. */
function withFault(): readonly MetalKernel[] {
  let seen = 0;
  const wrong = (kernel: MetalKernel): MetalKernel => ({
    ...kernel,
    launches: (step) =>
      kernel.launches(step).map((launch) => {
        if (step.op !== "sigmoid" || ++seen !== 2 || !("text" in launch.shader)) return launch;
        const text = launch.shader.text.replace("scalar_sigmoid(", "0.9f * scalar_sigmoid(").replace(launch.function, "wrong");
        return { ...launch, function: "wrong", shader: { text } };
      }),
  });
  return metalKernels.map((kernel) => (kernel.name === "elementwise" ? wrong(kernel) : kernel));
}

describeOnMetal("metal against the CPU, node by node", () => {
  test("a decoder is the same on both", async () => {
    using cpu = await Session.open({ device: "cpu" });
    using metal = await openSession(strictest);
    expect(await debug.compare(graph, cpu, metal, options)).toBeUndefined();
    expectNoFaults();
  });

  test("a kernel with a wrong constant is found at its first use", async () => {
    registerBackend("opengl", async () => createVariant(strictest, { metalKernels: withFault() }));
    using cpu = await Session.open({ device: "cpu" });
    using metal = await Session.open({ device: "opengl" });
    const found = await debug.compare(graph, cpu, metal, options);
    const second = graph.nodes.filter((n) => n.op === "sigmoid")[1];
    expect(found).toMatchObject({ node: second?.id, op: "sigmoid", index: 0 });
    expect((found?.values[1] ?? 0) / (found?.values[0] ?? 1)).toBeCloseTo(0.9, 5);
  });

  test("a run can be traced step by step", async () => {
    using metal = await openSession(strictest);
    using compiled = await metal.compile(graph, { weights: options.weights });
    const { trace } = await traceRun(compiled, { inputs: options.inputs });
    expect(trace.traceEvents.map((e) => e.name)).toEqual(compiled.program.steps.map((s) => s.op));
    for (const event of trace.traceEvents) expect(event.dur).toBeGreaterThan(0);
  });
});
