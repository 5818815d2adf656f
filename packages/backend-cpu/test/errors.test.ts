import { define, dim, hirBuilder, Tensor } from "@rlxjs/ir";
import * as rt from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const session = await rt.Session.open({ device: "cpu", kernels: "reference" });
afterAll(() => session[Symbol.dispose]());
const seq = dim("seq", { min: 1, max: 8 });
const compiled = session.compileSync(
  define("strict", (g) => {
    const x = g.input("x", "f32", [seq, 4]);
    const bias = g.input("bias", "f32", [4]);
    const mask = g.input("mask", "f32", [seq, 1]);
    return { y: g.mul(g.add(x, bias), mask) };
  }),
);
afterAll(() => compiled[Symbol.dispose]());
const good = { x: new Float32Array(8), bias: new Float32Array(4), mask: new Float32Array(2) };
const run =
  (inputs: rt.InputValues, extents = {}) =>
  () =>
    compiled.runSync({ inputs, extents });

test("inputs that the graph does not have", () => {
  expect(run({ ...good, z: 1 })).toThrow(rt.UnknownInputError);
  expect(run({ ...good, z: 1 })).toThrowErrorMatchingInlineSnapshot(
    `[UnknownInputError: graph "strict": unknown input "z": expected "x", "bias", "mask"]`,
  );
  expect(run({ ...good, toString: 1 })).toThrow(rt.UnknownInputError);
});

test("inputs that are missing", () => {
  expect(run({ x: good.x, bias: good.bias })).toThrow(rt.MissingInputError);
  expect(run({ x: good.x, bias: good.bias })).toThrowErrorMatchingInlineSnapshot(
    `[MissingInputError: graph "strict": input "mask": expected f32[seq, 1], got nothing]`,
  );
});

test("inputs of another dtype", () => {
  expect(run({ ...good, bias: Tensor.zeros("f16", [4]) })).toThrow(rt.InputDTypeError);
  expect(run({ ...good, bias: Tensor.zeros("f16", [4]) })).toThrowErrorMatchingInlineSnapshot(
    `[InputDTypeError: graph "strict": input "bias": expected f32, got f16]`,
  );
  expect(run({ ...good, bias: new Float64Array(4) })).toThrowErrorMatchingInlineSnapshot(
    `[InputDTypeError: graph "strict": input "bias": expected a Float32Array of f32, got a Float64Array]`,
  );
});

test("inputs of another shape or length", () => {
  expect(run({ ...good, bias: new Float32Array(5) })).toThrow(rt.InputShapeError);
  expect(run({ ...good, bias: new Float32Array(5) })).toThrowErrorMatchingInlineSnapshot(
    `[InputShapeError: graph "strict": input "bias": expected f32[4], got 5 elements (20 bytes)]`,
  );
  expect(run({ ...good, bias: Tensor.zeros("f32", [1, 4]) })).toThrowErrorMatchingInlineSnapshot(
    `[InputShapeError: graph "strict": input "bias": expected f32[4], got f32[1, 4]]`,
  );
  expect(run({ ...good, x: Tensor.zeros("f32", [2, 5]) })).toThrowErrorMatchingInlineSnapshot(
    `[InputShapeError: graph "strict": input "x": expected f32[seq, 4], got f32[2, 5]]`,
  );
  expect(run({ ...good, bias: 3 })).toThrowErrorMatchingInlineSnapshot(
    `[InputShapeError: graph "strict": input "bias": expected f32[4], got a number]`,
  );
});

test("extents out of bounds, contradicting, unknown, or that nothing shows", () => {
  expect(run({ ...good, x: new Float32Array(36) })).toThrow(rt.ExtentError);
  expect(run({ ...good, x: new Float32Array(36) })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": extent "seq": expected an integer from 1 to 8, got 9 (input "x" (number of elements) is 36)]`,
  );
  expect(run({ ...good, x: new Float32Array(9) })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": extent "seq": expected an integer from 1 to 8, got 2.25 (input "x" (number of elements) is 9)]`,
  );
  expect(run({ ...good, mask: new Float32Array(3) })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": input "mask" (number of elements): expected seq = 2 (seq = 2: input "x" (number of elements) is 8), got 3]`,
  );
  expect(run({ ...good, mask: Tensor.zeros("f32", [3, 1]) })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": input "mask" axis 0: expected seq = 2 (seq = 2: input "x" (number of elements) is 8), got 3]`,
  );
  expect(run(good, { seq: 3 })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": input "x" (number of elements): expected 4*seq = 12 (seq = 3: given), got 8]`,
  );
  expect(run(good, { len: 2 })).toThrowErrorMatchingInlineSnapshot(`[ExtentError: graph "strict": unknown extent "len": expected seq]`);
  const product = session.compileSync(define("product", (g) => ({ y: g.neg(g.input("x", "f32", [seq, dim("b", { min: 1, max: 2 })])) })));
  using _ = product;
  expect(() => product.runSync({ inputs: { x: new Float32Array(4) } })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "product": extent "seq", "b": no input shows it, give it as \`extents\`]`,
  );
  expect(product.runSync({ inputs: { x: new Float32Array(4) }, extents: { b: 2 } }).y.shape).toEqual([2, 2]);
  expect(() => compiled.setActiveExtent({ actual: 9, upper: 8 })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": extent "seq": expected an integer from 1 to 8, got 9 (active extent)]`,
  );
  expect(() => compiled.setActiveExtent({ actual: 4, upper: 16 })).toThrowErrorMatchingInlineSnapshot(
    `[ExtentError: graph "strict": active extent: expected one extent with upper bound 16, got 0]`,
  );
});

test("outputs that the graph does not have", () => {
  expect(() => compiled.runSync({ inputs: good, read: ["z" as "y"] })).toThrow(rt.OutputError);
  expect(() => compiled.runSync({ inputs: good, read: ["z" as "y"] })).toThrowErrorMatchingInlineSnapshot(
    `[OutputError: graph "strict": unknown output "z": expected y]`,
  );
});

test("devices that are not there", async () => {
  await expect(rt.Session.open({ device: "tpu" })).rejects.toThrow(rt.DeviceUnavailableError);
  await expect(rt.Session.open({ device: "tpu" })).rejects.toMatchInlineSnapshot(
    `[DeviceUnavailableError: device "tpu": no backend is registered for it; available: "cpu"]`,
  );
});

test("registering a device again replaces its backend", async () => {
  const { createReferenceBackend } = await import("@rlxjs/backend-cpu");
  const named = (description: string) => async () => ({
    ...createReferenceBackend(),
    info: { ...createReferenceBackend().info, description },
  });
  rt.registerBackend("vulkan", named("first"));
  rt.registerBackend("vulkan", named("second"));
  using opened = await rt.Session.open({ device: "vulkan" });
  expect(opened.info.description).toBe("second");
  expect(rt.registeredDevices()).toContain("vulkan");
});

test("a step that fails says which, of what", () => {
  const graph = define("lookup", (g) => {
    g.origin = "layers.0/embedding";
    return { y: g.embedding(g.param("table", "f32", [4, 2]), g.input("ids", "i32", [1]), { label: "tokens" }) };
  });
  using weights = new rt.WeightStore({ table: Tensor.zeros("f32", [4, 2]) });
  using lookup = session.compileSync(graph, { weights });
  const fail = () => lookup.runSync({ inputs: { ids: new Int32Array([4]) } });
  expect(fail).toThrow(rt.KernelError);
  expect(fail).toThrowErrorMatchingInlineSnapshot(
    `[KernelError: graph "lookup": step 0 embedding (reference) of layers.0/embedding tokens: index 0: expected 0 to 3, got 4]`,
  );
  expect(lookup.runSync({ inputs: { ids: new Int32Array([3]) } }).y.toArray()).toEqual([0, 0]);
});

test("weights that are missing, of another type, or not the graph's", async () => {
  const graph = define("weights", (g) => ({ y: g.linear(g.input("x", "f32", [1, 4]), g.param("w", "f32", [2, 4])) }));
  using empty = new rt.WeightStore();
  await expect(session.compile(graph, { weights: empty })).rejects.toThrow(rt.UnboundWeightError);
  await expect(session.compile(graph, { weights: empty })).rejects.toMatchInlineSnapshot(
    `[UnboundWeightError: graph "weights": weight "w": expected f32[2, 4], got nothing]`,
  );
  using wrong = new rt.WeightStore({ w: Tensor.zeros("f32", [4, 2]) });
  expect(() => session.compileSync(graph, { weights: wrong })).toThrow(rt.WeightTypeError);
  expect(() => session.compileSync(graph, { weights: wrong })).toThrowErrorMatchingInlineSnapshot(
    `[WeightTypeError: graph "weights": weight "w": expected f32[2, 4], got f32[4, 2]]`,
  );
  using later = session.compileSync(graph);
  expect(() => later.runSync({ inputs: { x: new Float32Array(4) } })).toThrowErrorMatchingInlineSnapshot(
    `[UnboundWeightError: graph "weights": weight "w": expected f32[2, 4], got nothing: compile with { weights }, or call setParam before the run]`,
  );
  expect(() => later.setParam("v", Tensor.zeros("f32", [2, 4]))).toThrow(rt.WeightNameError);
  expect(() => later.setParam("v", Tensor.zeros("f32", [2, 4]))).toThrowErrorMatchingInlineSnapshot(
    `[WeightNameError: graph "weights": weight "v": expected one of w]`,
  );
  expect(() => later.setParam("w", Tensor.zeros("f16", [2, 4]))).toThrowErrorMatchingInlineSnapshot(
    `[WeightTypeError: graph "weights": weight "w": expected f32[2, 4], got f16[2, 4]]`,
  );
  expect(
    () =>
      new rt.WeightStore([
        ["w", Tensor.zeros("f32", [1])],
        ["w", Tensor.zeros("f32", [1])],
      ]),
  ).toThrowErrorMatchingInlineSnapshot(`[WeightNameError: weight store: weight "w": is given twice]`);
});

test("an HIR module whose weights are unknown", () => {
  const h = hirBuilder("model");
  const x = h.input("x", "f32", [1, 4]);
  h.output("out", h.linear(x, { weight: "w" }));
  using weights = new rt.WeightStore({ w: Tensor.from("f32", [2, 4], [1, 0, 0, 0, 0, 1, 0, 0]) });
  using module = session.compileSync(h.build(), { weights });
  expect(module.runSync({ inputs: { x: new Float32Array([5, 6, 7, 8]) } }).out?.toArray()).toEqual([5, 6]);
  expect(() => session.compileSync(h.build())).toThrowErrorMatchingInlineSnapshot(
    `[MissingWeightError: hir "model": linear: no weight "w" in the checkpoint]`,
  );
});
