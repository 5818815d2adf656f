import { type Builder, define, dim, type Graph, Tensor, type Value } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { simplifyPasses } from "../src/passes/compile.ts";
import { rule, rulePass } from "../src/passes/rules.ts";
import { any, op } from "../src/passes/pattern.ts";
import { apply, bits, evaluate, text } from "./support/passes.ts";

const simplify = (graph: Graph) => {
  const result = apply(graph, simplifyPasses);
  expect(bits(evaluate(result.graph, 1, { seq: 3 }))).toEqual(bits(evaluate(graph, 1, { seq: 3 })));
  return result.graph;
};
const of = (body: (g: Builder, x: Value) => Value): string => text(simplify(define("t", (g) => body(g, g.input("x", "f32", [2, 6])))));

test("no-op and repeated movements go, constants move to the right", () => {
  const seq = dim("seq", { min: 1, max: 8 });
  const graph = define("moves", (g) => {
    const x = g.input("x", "f32", [seq, 2, 3]);
    const flat = g.reshape(g.reshape(x, { shape: [seq, 6] }), { shape: [seq, 3, 2] });
    const back = g.transpose(g.transpose(x, { perm: [2, 0, 1] }), { perm: [1, 2, 0] });
    const part = g.slice(g.slice(x, { axis: 2, start: 1, size: 2 }), { axis: -1, start: 1, size: 1 });
    const wide = g.cast(g.cast(g.cast(g.expand(back, { shape: [seq, 2, 3] }), { dtype: "f16" }), { dtype: "f32" }), { dtype: "f16" });
    return { flat, back: g.add(2, back), part, wide, same: g.slice(g.concat([x], { axis: 0 }), { axis: 1, size: 2 }) };
  });
  expect(text(simplify(graph))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = reshape(%0) {shape: [<seq>, 3, 2]} : f32[seq, 3, 2]
    %2 = slice(%0) {axis: 2, start: 2, size: 1} : f32[seq, 2, 1]
    %3 = cast(%0) {dtype: "f16"} : f16[seq, 2, 3]
    %4 = constant {index: 0, dtype: "f32", shape: []} : f32[]
    %5 = add(%0, %4) : f32[seq, 2, 3]
    output "flat" %1
    output "back" %5
    output "part" %2
    output "wide" %3
    output "same" %0"
  `);
});

test("algebra keeps every bit of floats", () => {
  expect(of((g, x) => g.div(g.add(g.mul(g.neg(g.neg(x)), 1), -0), 1))).toMatchInlineSnapshot(`
    "%0 = input x
    output "out" %0"
  `);
  expect(of((g, x) => g.div(g.mul(x, x), 8))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = square(%0) : f32[2, 6]
    %2 = constant {index: 0, dtype: "f32", shape: []} : f32[]
    %3 = mul(%1, %2) : f32[2, 6]
    output "out" %3"
  `);
  // -0 + 0 is 0, and NaN * 0 is NaN: these stay.
  expect(of((g, x) => g.mul(g.add(x, 0), 0))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = constant {index: 0, dtype: "f32", shape: []} : f32[]
    %2 = add(%0, %1) : f32[2, 6]
    %3 = mul(%2, %1) : f32[2, 6]
    output "out" %3"
  `);
  expect(of((g, x) => g.sub(g.add(x, g.neg(g.abs(g.neg(x)))), g.neg(x)))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = abs(%0) : f32[2, 6]
    %2 = sub(%0, %1) : f32[2, 6]
    %3 = add(%2, %0) : f32[2, 6]
    output "out" %3"
  `);
  // The constant broadcasts x, so it does more than nothing.
  expect(of((g, x) => g.mul(x, g.constant(Tensor.from("f32", [3, 1, 1], [1, 1, 1]))))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = constant {index: 0, dtype: "f32", shape: [3, 1, 1]} : f32[3, 1, 1]
    %2 = mul(%0, %1) : f32[3, 2, 6]
    output "out" %2"
  `);
  expect(of((g, x) => g.where(g.logicalNot(g.lt(x, 0)), g.maximum(x, x), g.neg(x)))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = constant {index: 0, dtype: "f32", shape: []} : f32[]
    %2 = lt(%0, %1) : bool[2, 6]
    %3 = neg(%0) : f32[2, 6]
    %4 = where(%2, %3, %0) : f32[2, 6]
    output "out" %4"
  `);
});

test("negative zero, infinities and NaN survive all rules", () => {
  const special = Tensor.from("f32", [6], [0, -0, Infinity, -Infinity, NaN, 1e-45]);
  const graph = define("special", (g) => {
    const x = g.constant(special);
    const y = g.mul(x, g.input("one", "f32", []));
    return { a: g.add(g.sub(y, 0), -0), b: g.div(g.mul(g.neg(g.neg(y)), -1), 4), c: g.mul(y, y), d: g.maximum(y, y) };
  });
  simplify(graph);
});

test("constants fold by their references, up to a size", () => {
  const graph = define("fold", (g) => {
    const angles = g.mul(g.cast(g.iota({ shape: [4] }), { dtype: "f32" }), 0.5);
    const { values } = g.topk(angles, { k: 2 });
    return { out: g.add(g.slice(g.input("x", "f32", [2, 6]), { axis: 1, start: 0, size: 2 }), values) };
  });
  expect(text(simplify(graph))).toMatchInlineSnapshot(`
    "%0 = constant {index: 0, dtype: "f32", shape: [2]} : f32[2]
    %1 = input x
    %2 = slice(%1) {axis: 1, start: 0, size: 2} : f32[2, 2]
    %3 = add(%2, %0) : f32[2, 2]
    output "out" %3"
  `);
  const kept = apply(graph, simplifyPasses, [], { maxFoldBytes: 20 }).graph;
  expect(kept.nodes.map((n) => n.op)).toContain("topk");
});

test("what fails on constants is not folded", () => {
  const graph = define("bad", (g) => {
    const table = g.constant(Tensor.from("f32", [2, 2], [1, 2, 3, 4]));
    return g.embedding(table, g.constant(Tensor.from("i32", [1], [7])));
  });
  const { graph: out, misses } = apply(graph, simplifyPasses);
  expect(out.nodes.map((n) => n.op)).toContain("embedding");
  expect(misses[0]?.detail).toMatchInlineSnapshot(`"[embedding] index 0: expected 0 to 1, got 7"`);
});

test("equal nodes merge, but not over writes of a state", () => {
  const graph = define("cse", (g) => {
    const x = g.input("x", "f32", [1, 1, 4]);
    const pos = g.input("pos", "i32", []);
    const s = g.state("s", "f32", [1, 4, 4]);
    const before = g.exp(s);
    const again = g.exp(s);
    const next = g.kvWrite(s, g.add(x, g.mul(x, x)), pos);
    const twice = g.kvWrite(next, g.add(g.mul(x, x), x), pos);
    return { out: g.add(g.add(before, again), g.exp(twice)), eps: g.sub(g.rmsNorm(x, { eps: 1e-5 }), g.rmsNorm(x, { eps: 1e-6 })) };
  });
  expect(text(simplify(graph))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = input pos
    %2 = state s
    %3 = exp(%2) : f32[1, 4, 4]
    %4 = square(%0) : f32[1, 1, 4]
    %5 = add(%0, %4) : f32[1, 1, 4]
    %6 = kv_write(%2, %5, %1, _, _, _) {layout: "token", xLayout: "token", ring: false, trim: false} : f32[1, 4, 4]
    %7 = kv_write(%6, %5, %1, _, _, _) {layout: "token", xLayout: "token", ring: false, trim: false} : f32[1, 4, 4]
    %8 = add(%3, %3) : f32[1, 4, 4]
    %9 = exp(%7) : f32[1, 4, 4]
    %10 = add(%8, %9) : f32[1, 4, 4]
    %11 = rms_norm(%0, _) {eps: 0.00001} : f32[1, 1, 4]
    %12 = rms_norm(%0, _) {eps: 0.000001} : f32[1, 1, 4]
    %13 = sub(%11, %12) : f32[1, 1, 4]
    output "out" %10
    output "eps" %13"
  `);
});

test("dead nodes go; inputs, states and their writes stay", () => {
  const graph = define("dead", (g) => {
    const x = g.input("x", "f32", [1, 1, 4]);
    const unused = g.input("unused", "f32", [2]);
    g.exp(g.mul(unused, g.param("w", "f32", [2])));
    g.kvWrite(g.state("s", "f32", [1, 4, 4]), x, g.constant(0, "i32"));
    return { b: g.relu(x), a: x };
  });
  expect(text(simplify(graph))).toMatchInlineSnapshot(`
    "%0 = input x
    %1 = input unused
    %2 = state s
    %3 = constant {index: 0, dtype: "i32", shape: []} : i32[]
    %4 = kv_write(%2, %0, %3, _, _, _) {layout: "token", xLayout: "token", ring: false, trim: false} : f32[1, 4, 4]
    %5 = relu(%0) : f32[1, 1, 4]
    output "b" %5
    output "a" %0"
  `);
});

test("views of a state stay where dropping them would read the state after it is overwritten", () => {
  const graph = define("swap", (g) => {
    const a = g.state("a", "f32", [2]);
    const b = g.state("b", "f32", [2]);
    const before = g.reshape(a, { shape: [2] });
    const column = g.reshape(b, { shape: [2, 1] });
    g.stateWrite(a, g.input("x", "f32", [2]));
    g.stateWrite(b, before);
    return { y: g.reshape(g.reshape(column, { shape: [1, 2] }), { shape: [2] }) };
  });
  expect(text(simplify(graph))).toMatchInlineSnapshot(`
    "%0 = state a
    %1 = state b
    %2 = reshape(%0) {shape: [2]} : f32[2]
    %3 = reshape(%1) {shape: [2, 1]} : f32[2, 1]
    %4 = input x
    %5 = state_write(%0, %4) : f32[2]
    %6 = state_write(%1, %2) : f32[2]
    %7 = reshape(%3) {shape: [2]} : f32[2]
    output "y" %7"
  `);
});

test("a rule list without a fixpoint runs out of fuel", () => {
  const swap = rulePass("swap", [rule("swap", op("sub", any("a"), any("b")), (v, { g }) => g.sub(v.b, v.a))]);
  const graph = define("loop", (g) => g.sub(g.input("a", "f32", [2]), g.input("b", "f32", [2])));
  expect(() => apply(graph, [swap])).toThrowErrorMatchingInlineSnapshot(
    `[PassError: pass "swap": no fixpoint on graph "loop"; still applying: swap]`,
  );
});
