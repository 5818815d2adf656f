import { define, dim, type Graph, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import type { Kernel } from "../src/backend.ts";
import { compileGraph } from "../src/passes/compile.ts";
import { UnsupportedOpsError } from "../src/passes/errors.ts";
import { bits, difference, evaluate, kernelsFor, text, without } from "./support/passes.ts";

const seq = dim("seq", { min: 1, max: 8 });
const graph: Graph = define("mixed", (g) => {
  const x = g.input("x", "f32", [seq, 8]);
  g.origin = "block";
  const w = g.reshape(g.transpose(g.param("w", "f32", [8, 6]), { perm: [1, 0] }), { shape: [6, 8] });
  const h = g.linear(g.rmsNorm(x, { weight: g.param("n", "f32", [8]), label: "pre" }), w);
  const { values } = g.topk(h, { k: 2 });
  return { out: g.softmax(g.reshape(values, { shape: [1, seq, 2] })) };
});
const choices = (kernels: readonly Kernel[], options = {}): string[] =>
  compileGraph(graph, kernels, { verify: true, ...options }).report.entries.map(
    (e) => `${e.op}: ${e.choice}${e.reason ? ` (${e.reason})` : ""}`,
  );

test("a backend with every kernel runs every node; views and weights need none", () => {
  expect(choices(kernelsFor())).toMatchInlineSnapshot(`
    [
      "transpose: prepared",
      "rms_norm: native",
      "linear: native",
      "topk: native",
      "reshape: view",
      "softmax: native",
    ]
  `);
});

test("a missing kernel is replaced by native parts, by the reference where there are none", () => {
  const kernels = without("rms_norm", "topk", "with_epilogue");
  expect(choices(kernels)).toMatchInlineSnapshot(`
    [
      "transpose: prepared",
      "square: native",
      "reduce_mean: native",
      "region: native",
      "linear: native",
      "topk: reference (the backend has no topk kernel; it has no decomposition)",
      "reshape: view",
      "softmax: native",
    ]
  `);
  const { graph: out, report } = compileGraph(graph, kernels);
  expect(report.decomposed).toMatchInlineSnapshot(`
    [
      {
        "into": [
          "square",
          "reduce_mean",
          "add",
          "rsqrt",
          "mul",
          "mul",
        ],
        "label": "pre",
        "op": "rms_norm",
        "origin": "block",
        "reason": "the backend has no rms_norm kernel",
      },
    ]
  `);
  expect(difference(evaluate(graph, 1, { seq: 3 }), evaluate(out, 1, { seq: 3 }))).toBeLessThan(1e-6);
  expect(new Set(out.nodes.filter((n) => n.label === "pre").map((n) => n.origin))).toEqual(new Set(["block"]));
});

test("parts that are not native decompose further, or leave the whole op to its reference", () => {
  const residual = define("residual", (g) => {
    const { sum, normed } = g.residualRmsNorm(g.input("x", "f32", [2, 4]), g.input("r", "f32", [2, 4]), {
      weight: g.param("w", "f32", [4]),
    });
    return { sum, normed };
  });
  const deep = compileGraph(residual, without("residual_rms_norm", "rms_norm"), { fuse: false });
  expect(text(deep.graph)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = input r
    %2 = param w
    %3 = add(%0, %1) : f32[2, 4]
    %4 = square(%3) : f32[2, 4]
    %5 = reduce_mean(%4) {axes: [-1], keepDims: true} : f32[2, 1]
    %6 = constant {index: 0, dtype: "f32", shape: []} : f32[]
    %7 = add(%5, %6) : f32[2, 1]
    %8 = rsqrt(%7) : f32[2, 1]
    %9 = mul(%3, %8) : f32[2, 4]
    %10 = mul(%9, %2) : f32[2, 4]
    output "sum" %3
    output "normed" %10"
  `);
  expect(difference(evaluate(residual), evaluate(deep.graph))).toBeLessThan(1e-6);
  const shallow = compileGraph(residual, without("residual_rms_norm", "rms_norm", "reduce_mean"), { fuse: false });
  expect(shallow.report.decomposed).toMatchInlineSnapshot(`
    [
      {
        "into": [
          "add",
          "square",
          "reduce_sum",
          "div",
          "add",
          "rsqrt",
          "mul",
          "mul",
        ],
        "op": "residual_rms_norm",
        "reason": "the backend has no residual_rms_norm kernel",
      },
    ]
  `);
});

test("without kernels every op is its own reference, to the last bit", () => {
  const { graph: out, report } = compileGraph(graph, []);
  expect(report.counts).toMatchInlineSnapshot(`
    {
      "decomposed": 0,
      "native": 0,
      "prepared": 1,
      "reference": 4,
      "view": 1,
    }
  `);
  expect(bits(evaluate(out, 1, { seq: 3 }))).toEqual(bits(evaluate(graph, 1, { seq: 3 })));
});

test("a kernel looks at the whole node, and its reason is in the report", () => {
  const kernels: Kernel[] = [
    { op: "softmax", accepts: (n) => (n.attrs.axis === -1 ? "only the first axis" : true), emit: () => ({ kernel: "softmax" }) },
    { op: "linear", accepts: (n) => (n.inputs[1]?.weight ? true : "w: expected a weight"), emit: () => ({ kernel: "linear" }) },
    ...kernelsFor(["rms_norm", "topk"]),
  ];
  expect(choices(kernels)).toMatchInlineSnapshot(`
    [
      "transpose: prepared",
      "rms_norm: native",
      "linear: native",
      "topk: native",
      "reshape: view",
      "softmax: reference (only the first axis; in its decomposition reduce_max: the backend has no reduce_max kernel; it has no decomposition)",
    ]
  `);
});

test("references can be forbidden: one error lists all nodes that need them", () => {
  const run = () => compileGraph(graph, kernelsFor(["linear"]), { forbidReference: true });
  expect(run).toThrowErrorMatchingInlineSnapshot(`
    [UnsupportedOpsError: graph "mixed": the backend cannot run 3 of its nodes:
      rms_norm: the backend has no rms_norm kernel; in its decomposition square: the backend has no square kernel; it has no decomposition
      topk: the backend has no topk kernel; it has no decomposition
      softmax: the backend has no softmax kernel; in its decomposition reduce_max: the backend has no reduce_max kernel; it has no decomposition]
  `);
  try {
    run();
  } catch (error) {
    expect(error instanceof UnsupportedOpsError && error.entries.map((e) => e.label)).toEqual(["pre", undefined, undefined]);
  }
});

test("states and constants keep their meaning inside a decomposition", () => {
  const g1 = define("inner", (g) => {
    const s = g.state("s", "f32", [1, 4, 8]);
    const n = g.rmsNorm(s, { weight: g.constant(Tensor.from("f32", [8], [1, 2, 3, 4, 5, 6, 7, 8])) });
    g.kvWrite(s, g.input("x", "f32", [1, 1, 8]), g.constant(1, "i32"));
    return n;
  });
  const { graph: out, report } = compileGraph(g1, without("rms_norm"), { fuse: false, verify: true });
  expect(report.counts.decomposed).toBe(1);
  expect(difference(evaluate(g1), evaluate(out))).toBeLessThan(1e-6);
});
