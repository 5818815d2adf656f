import { type Builder, define, dim, type Graph, type Value } from "@rlxjs/ir";
import { expect, test } from "vitest";
import type { Kernel } from "../src/backend.ts";
import { compileGraph } from "../src/passes/compile.ts";
import type { PassOptions } from "../src/passes/options.ts";
import { llama } from "./support/llama.ts";
import { bits, difference, evaluate, kernelsFor, text, without } from "./support/passes.ts";

const seq = dim("seq", { min: 1, max: 8 });

/** Compile, and compare with the graph as it was written. */
function fused(graph: Graph, kernels: readonly Kernel[] = kernelsFor(), options: Partial<PassOptions> = {}) {
  const result = compileGraph(graph, kernels, { verify: true, ...options });
  const [before, after] = [graph, result.graph].map((g) => evaluate(g, 1, { seq: 3 }));
  if (!before || !after) throw new Error("nothing evaluated");
  expect(difference(before, after)).toBeLessThan(2e-6);
  return {
    ...result,
    before,
    after,
    ops: result.graph.nodes.map((n) => n.op),
    why: result.misses.map((m) => `${m.pattern}: ${m.reason}: ${m.detail}`),
  };
}

const mlp = (g: Builder, x: Value): Value => {
  const gate = g.linear(x, g.param("gate", "f32", [16, 8]));
  const up = g.linear(x, g.param("up", "f32", [16, 8]));
  return g.linear(g.mul(g.mul(gate, g.sigmoid(gate)), up), g.param("down", "f32", [8, 16]));
};

test("linears of one input merge through a packed weight", () => {
  const graph = define("mlp", (g) => mlp(g, g.input("x", "f32", [seq, 8])));
  const { graph: out, stats } = fused(graph);
  expect(text(out)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = param gate
    %2 = param up
    %3 = param down
    %4 = concat(%1, %2) {axis: 0} : f32[32, 8]
    %5 = linear(%0, %4, _) : f32[seq, 32]
    %6 = slice(%5) {axis: -1, start: 0, size: 16} : f32[seq, 16]
    %7 = slice(%5) {axis: -1, start: 16, size: 16} : f32[seq, 16]
    %8 = swiglu(%6, %7) : f32[seq, 16]
    %9 = linear(%8, %3, _) : f32[seq, 8]
    output "out" %9"
  `);
  expect(Object.assign({}, ...stats.map((s) => s.applied))).toMatchInlineSnapshot(`
    {
      "merge shared input": 1,
      "silu": 1,
      "swiglu": 1,
    }
  `);
});

test("weights that differ in dtype, are read elsewhere, or that the backend cannot merge stay apart", () => {
  const graph = define("apart", (g) => {
    const x = g.input("x", "f32", [seq, 8]);
    const shared = g.param("shared", "f32", [8, 8]);
    const a = g.linear(x, g.param("a", "f16", [4, 8]));
    const b = g.linear(x, shared);
    return { a, b, c: g.linear(a, g.param("c", "f32", [3, 4])), d: g.linear(g.rmsNorm(b), shared) };
  });
  expect(fused(graph).ops).not.toContain("concat");
  const twins = define("twins", (g) => mlp(g, g.input("x", "f32", [seq, 8])));
  const { ops, why } = fused(twins, without("slice"));
  expect(ops).not.toContain("concat");
  expect(why).toMatchInlineSnapshot(`
    [
      "merge shared input: backend: the backend has no slice kernel",
    ]
  `);
});

test("norms take in the residual sum, which others may read after them", () => {
  const graph = define("residual", (g) => {
    const x = g.input("x", "f32", [seq, 8]);
    const y = g.add(x, g.input("y", "f32", [seq, 8]));
    const n = g.rmsNorm(y, { weight: g.param("w", "f32", [8]), eps: 1e-6 });
    const z = g.add(g.exp(n), y);
    return { z, n: g.layerNorm(g.add(z, x), { weight: g.param("v", "f32", [8]), bias: g.param("b", "f32", [8]) }) };
  });
  expect(text(fused(graph).graph)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = input y
    %2 = param w
    %3 = param v
    %4 = param b
    %5, %6 = residual_rms_norm(%0, %1, %2) {eps: 0.000001} : f32[seq, 8], f32[seq, 8]
    %7 = region(%6, %5) {body: body f32 2 [r2 = exp r0; r3 = add r2 r1] -> r3, dtypes: ["f32"]} : f32[seq, 8]
    %8, %9 = residual_layer_norm(%7, %0, %3, %4) {eps: 0.00001} : f32[seq, 8], f32[seq, 8]
    output "z" %7
    output "n" %9"
  `);
  expect(fused(graph, without("residual_rms_norm", "residual_layer_norm")).why).toMatchInlineSnapshot(`
    [
      "residual + rms norm: backend: the backend has no residual_rms_norm kernel",
      "residual + layer norm: backend: the backend has no residual_layer_norm kernel",
      "elementwise region: multi-consumer: its result has readers outside the region",
      "elementwise region: multi-consumer: its result has readers outside the region",
    ]
  `);
  const early = define("early", (g) => {
    const y = g.add(g.input("x", "f32", [2, 8]), g.input("y", "f32", [2, 8]));
    const first = g.softmax(y);
    return g.mul(first, g.rmsNorm(y));
  });
  expect(fused(early).why).toMatchInlineSnapshot(`
    [
      "residual + rms norm: order: node 3 (softmax) needs a result earlier",
    ]
  `);
});

test("bias and activation finish a linear; the bias is its own, the rest an epilogue", () => {
  const graph = define("head", (g) => {
    const x = g.input("x", "f32", [seq, 8]);
    const y = g.add(g.linear(x, g.param("w", "f32", [6, 8])), g.param("b", "f32", [6]));
    return g.add(g.gelu(y), g.input("r", "f32", [1, 6]));
  });
  expect(text(fused(graph).graph)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = param w
    %2 = param b
    %3 = input r
    %4 = with_epilogue(%0, %1, %2, %3) {op: "linear", attrs: {}, arity: 3, present: [0, 1, 2], body: body f32 2 [r2 = const 0.5; r3 = mul r2 r0; r4 = const 1; r5 = const 0.7071067811865476; r6 = mul r0 r5; r7 = erf r6; r8 = add r4 r7; r9 = mul r3 r8; r10 = add r9 r1] -> r10, dtype: "f32"} : f32[seq, 6]
    output "out" %4"
  `);
});

test("an epilogue ends where its chain has other readers, broadcasts, or meets a written state", () => {
  const graph = define("ends", (g) => {
    const x = g.input("x", "f32", [seq, 8]);
    const y = g.relu(g.linear(x, g.param("w", "f32", [6, 8])));
    const wide = g.add(g.linear(x, g.param("v", "f32", [6, 8]), { bias: g.param("b", "f32", [6]) }), g.input("r", "f32", [2, 1, 6]));
    return { out: g.mul(g.exp(y), g.softmax(y)), wide };
  });
  const { graph: out, why } = fused(graph);
  expect(text(out)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = param w
    %2 = param v
    %3 = param b
    %4 = input r
    %5 = with_epilogue(%0, %1) {op: "linear", attrs: {}, arity: 2, present: [0, 1], body: body f32 1 [r1 = const 0; r2 = max r0 r1] -> r2, dtype: "f32"} : f32[seq, 6]
    %6 = linear(%0, %2, %3) : f32[seq, 6]
    %7 = add(%6, %4) : f32[2, seq, 6]
    %8 = softmax(%5) {axis: -1} : f32[seq, 6]
    %9 = region(%5, %8) {body: body f32 2 [r2 = exp r0; r3 = mul r2 r1] -> r3, dtypes: ["f32"]} : f32[seq, 6]
    output "out" %9
    output "wide" %7"
  `);
  expect(why).toMatchInlineSnapshot(`
    [
      "epilogue: shape: it broadcasts the routine's result",
      "epilogue: multi-consumer: its result has several readers",
    ]
  `);
});

test("regions: broadcast operands, selections, literals; one op alone is no region", () => {
  const graph = define("region", (g) => {
    const x = g.input("x", "f32", [2, 3, 4]);
    const scaled = g.relu(g.mul(g.add(x, g.param("b", "f32", [4])), g.param("s", "f32", [3, 1])));
    return { out: g.where(g.gt(scaled, 1), g.sqrt(scaled), g.sub(2, scaled)), alone: g.exp(g.softmax(x)) };
  });
  expect(text(fused(graph).graph)).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = param b
    %2 = param s
    %3 = region(%0, %1, %2) {body: body f32 3 [r3 = add r0 r1; r4 = mul r3 r2; r5 = const 0; r6 = max r4 r5; r7 = const 1; r8 = gt r6 r7; r9 = sqrt r6; r10 = const 2; r11 = sub r10 r6; r12 = select r8 r9 r11] -> r12, dtypes: ["f32"]} : f32[2, 3, 4]
    %4 = softmax(%0) {axis: -1} : f32[2, 3, 4]
    %5 = exp(%4) : f32[2, 3, 4]
    output "out" %3
    output "alone" %5"
  `);
  expect(fused(graph, without("region")).ops).not.toContain("region");
});

test("a region keeps the roundings of f16 and bf16, so it computes the same bits", () => {
  const graph = define("narrow", (g) => {
    const x = g.input("x", "f16", [5, 7]);
    const h = g.mul(g.add(x, 0.1), g.silu(x));
    const b = g.cast(g.mul(h, h), { dtype: "bf16" });
    return { out: g.sub(g.exp(b), b), gated: g.mul(g.silu(x), g.neg(x)) };
  });
  const { ops, before, after, why } = fused(graph);
  expect(bits(after)).toEqual(bits(before));
  expect(ops.filter((o) => o === "region")).toHaveLength(2);
  expect(why).toMatchInlineSnapshot(`
    [
      "swiglu: dtype: the inner result is rounded to f16",
      "swiglu: dtype: the inner result is rounded to f16",
      "elementwise region: multi-consumer: its result has readers outside the region",
    ]
  `);
});

test("values that others read stay outside a region, and so do integers that would have to wrap", () => {
  const graph = define("readers", (g) => {
    const x = g.input("x", "f32", [4]);
    const shared = g.exp(x);
    const i = g.input("i", "i32", [4]);
    return {
      a: g.neg(g.add(shared, 1)),
      b: g.softmax(shared),
      c: g.rem(g.mul(i, 1 << 30), 7),
      d: g.softmax(g.mul(g.input("s", "f32", [2, 1]), g.add(g.tanh(g.input("t", "f32", [1])), x))),
    };
  });
  const { ops, why } = fused(graph);
  expect(ops).toMatchInlineSnapshot(`
    [
      "input",
      "input",
      "constant",
      "constant",
      "input",
      "input",
      "exp",
      "region",
      "softmax",
      "mul",
      "rem",
      "tanh",
      "region",
      "softmax",
    ]
  `);
  expect(why).toMatchInlineSnapshot(`
    [
      "elementwise region: shape: it would be computed again for every element that it is broadcast to",
      "elementwise region: dtype: a i32 result does not stay in a register",
      "elementwise region: multi-consumer: its result has readers outside the region",
    ]
  `);
});

test("long chains split at the limits", () => {
  const graph = define("long", (g) => {
    let y = g.input("x", "f32", [4]);
    for (let i = 0; i < 100; i++) y = g.tanh(y);
    let z = g.input("z0", "f32", [4]);
    for (let i = 1; i < 40; i++) z = g.add(z, g.input(`z${i}`, "f32", [4]));
    return { y, z };
  });
  const { graph: out } = fused(graph);
  const regions = out.nodes.filter((n) => n.op === "region");
  expect(regions.map((n) => n.inputs.length)).toMatchInlineSnapshot(`
    [
      1,
      1,
      10,
      16,
      16,
    ]
  `);
  expect(fused(graph, kernelsFor(), { maxRegionSteps: 10, maxRegionInputs: 3 }).ops.filter((o) => o === "region").length).toBeGreaterThan(
    20,
  );
});

test("a read of a state never moves past its write", () => {
  const graph = define("state", (g) => {
    const s = g.state("s", "f32", [1, 4, 8]);
    const x = g.input("x", "f32", [1, 1, 8]);
    const old = g.exp(g.reshape(s, { shape: [4, 8] }));
    const read = g.linear(s, g.param("w", "f32", [8, 8]));
    const sum = g.add(s, s);
    const next = g.kvWrite(s, x, g.input("pos", "i32", []));
    return { a: g.mul(old, 2), b: g.relu(read), c: g.rmsNorm(sum), d: g.neg(g.exp(next)) };
  });
  const { why } = fused(graph);
  expect(why).toMatchInlineSnapshot(`
    [
      "residual + rms norm: order: an operand is a state that is written in between",
      "epilogue: order: a state that the routine reads is written in between",
      "elementwise region: order: it reads a state that is written before the region runs",
    ]
  `);
});

test("keys turn on their way into a cache, unless others read them or the cache has other heads", () => {
  const graph = define("keys", (g) => {
    const [x, pos] = [g.input("x", "f32", [1, seq, 8]), g.input("pos", "i32", [])];
    const [cos, sin] = [g.input("cos", "f32", [seq, 2]), g.input("sin", "f32", [seq, 2])];
    const write = (name: string, k: Value, headDim: number): readonly Value[] => {
      const [kCache, vCache] = ["k", "v"].map((which) => g.state(`${which}${name}`, "f16", [1, 16, 8])) as [Value, Value];
      const { k: keys, v } = g.kvWritePair(kCache, vCache, k, x, pos, { headDim, ring: true });
      return [keys, v];
    };
    const rope = (interleaved: boolean): Value => g.rope(x, cos, sin, { headDim: 4, interleaved });
    const read = rope(true);
    const [k0, v0] = write("0", rope(false), 4);
    const [k1, v1] = write("1", g.neg(read), 4);
    const [k2, v2] = write("2", g.rope(g.neg(x), cos, sin, { headDim: 4 }), 8);
    const [k3, v3] = write("3", read, 4);
    return Object.fromEntries(Object.entries({ k0, v0, k1, v1, k2, v2, k3, v3 }).flatMap(([name, v]) => (v ? [[name, v]] : [])));
  });
  const { ops, why, graph: out } = fused(graph);
  expect(ops.filter((op) => op.includes("rope") || op.includes("kv"))).toEqual([
    ...["rope", "rope_kv_write_pair", "kv_write_pair", "rope", "kv_write_pair", "kv_write_pair"],
  ]);
  expect(text(out).match(/rope_kv_write_pair.*/)?.[0]).toMatchInlineSnapshot(
    `"rope_kv_write_pair(%4, %5, %0, %0, %2, %3, %1, _, _, _) {headDim: 4, interleaved: false, layout: "token", ring: true, trim: false} : f16[1, 16, 8], f16[1, 16, 8]"`,
  );
  expect(why.filter((w) => w.startsWith("rope"))).toMatchInlineSnapshot(`
    [
      "rope + kv write: multi-consumer: the result of node 12 (rope) has other readers",
    ]
  `);
  expect(fused(graph, without("rope_kv_write_pair")).ops).not.toContain("rope_kv_write_pair");
});

test("without fusion, results keep every bit", () => {
  const graph = llama({ layers: 2, width: 24, heads: 4, kvHeads: 2, hidden: 40, vocab: 50, capacity: 8 });
  const { before, after } = fused(graph, kernelsFor(), { fuse: false });
  expect(bits(after)).toEqual(bits(before));
});

test("every layer of a llama becomes the same few nodes", () => {
  const small = fused(llama({ layers: 1, width: 24, heads: 4, kvHeads: 2, hidden: 40, vocab: 50, capacity: 8 }));
  expect(small.why).toEqual([]);
  expect(small.ops.slice(small.ops.indexOf("rms_norm"))).toMatchInlineSnapshot(`
    [
      "rms_norm",
      "concat",
      "linear",
      "slice",
      "slice",
      "slice",
      "rope",
      "rope",
      "kv_write",
      "kv_write",
      "attention",
      "linear",
      "residual_rms_norm",
      "concat",
      "linear",
      "slice",
      "slice",
      "swiglu",
      "linear",
      "residual_rms_norm",
      "linear",
    ]
  `);
  const layers = (n: number): number =>
    compileGraph(llama({ layers: n, width: 24, heads: 4, kvHeads: 2, hidden: 40, vocab: 50, capacity: 8 }), kernelsFor()).report.entries
      .length;
  expect(layers(12) - layers(11)).toBe(layers(2) - layers(1));
});
