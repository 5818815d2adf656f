import { define, opByName, Tensor } from "@rlxjs/ir";
import { type Backend, debug, registerBackend, Session, traceRun, WeightStore } from "@rlxjs/runtime";
import { createReferenceBackend } from "@rlxjs/backend-cpu";
import { expect, test } from "vitest";

const graph = define("layers", (g) => {
  g.origin = "layers.0";
  const x = g.linear(g.input("x", "f32", [1, 4]), g.param("w", "f32", [4, 4]));
  const h = g.exp(x, { label: "hot" });
  g.origin = "layers.1";
  return { y: g.softmax(g.mul(h, 2)) };
});
const weights = new WeightStore({ w: Tensor.from("f32", [4, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]) });

/** The reference backend with one op that computes something else. */
function broken(op: string): Backend {
  const backend = createReferenceBackend();
  return {
    ...backend,
    load: (program, bound) => {
      const steps = program.steps.map((s) => (s.op === op ? { ...s, op: "square" } : s));
      return backend.load({ ...program, steps }, bound);
    },
  };
}

test("comparing two sessions finds the first node that differs", async () => {
  registerBackend("opengl", async () => createReferenceBackend());
  registerBackend("directx", async () => broken("exp"));
  using right = await Session.open({ device: "opengl" });
  using wrong = await Session.open({ device: "directx" });
  const options = { weights, inputs: { x: new Float32Array([0, 1, 2, 3]) } };
  expect(await debug.compare(graph, right, right, options)).toBeUndefined();
  expect(await debug.compare(graph, right, wrong, options)).toEqual({
    node: 3,
    op: "exp",
    output: "out",
    label: "hot",
    origin: "layers.0",
    index: 0,
    values: [1, 0],
  });
});

test("the first node that makes a value that is not finite is found", async () => {
  using session = await Session.open({ device: "cpu", kernels: "reference" });
  const at = (v: number) => debug.findNonFinite(graph, session, { weights, inputs: { x: new Float32Array([0, 0, v, 0]) } });
  expect(await at(10)).toBeUndefined();
  expect(await at(100)).toMatchObject({ op: "exp", label: "hot", index: 2, values: [Number.POSITIVE_INFINITY] });
});

test("a run can be traced step by step", async () => {
  using session = await Session.open({ device: "cpu", kernels: "reference" });
  using compiled = await session.compile(graph, { weights });
  const { outputs, trace } = await traceRun(compiled, { inputs: { x: new Float32Array(4) } });
  expect(outputs.y.toArray()).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(trace.traceEvents.map((e) => e.name)).toEqual(compiled.program.steps.map((s) => s.op));
  for (const [i, e] of trace.traceEvents.entries()) {
    expect(e.dur).toBeGreaterThan(0);
    expect(opByName(e.name).name).toBe(e.name);
    expect(e.ts).toBeCloseTo(trace.traceEvents.slice(0, i).reduce((n, p) => n + p.dur, 0));
  }
});
