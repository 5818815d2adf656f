import { type Builder, type DType, define, type Graph, RlxError, Tensor, type Value } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileGraph } from "../src/passes/compile.ts";
import { bits, difference, evaluate, kernelsFor, without } from "./support/passes.ts";

const shapes = [[3, 4], [3, 4], [2, 3, 4], [4], [3, 1], [1, 4], []] as const;
const constants = [0, -0, 1, -1, 2, 0.5, 3];
type Make = (g: Builder, a: Value, b: Value, n: number) => Value;

/** The second operand in the dtype of the first. */
const like = (g: Builder, a: Value, b: Value): Value => (a.dtype === b.dtype ? b : g.cast(b, { dtype: a.dtype }));

// Ops that a random graph is made of; one that does not fit its operands is left out.
const elementwise: readonly Make[] = [
  (g, a, b) => g.add(a, like(g, a, b)),
  (g, a, b) => g.sub(a, like(g, a, b)),
  (g, a, b) => g.mul(a, like(g, a, b)),
  (g, a, b) => g.maximum(a, like(g, a, b)),
  (g, a, _, n) => g.add(constants[n % constants.length] ?? 0, a),
  (g, a, _, n) => g.mul(a, constants[n % constants.length] ?? 0),
  (g, a, _, n) => g.div(a, [1, 2, 4, -8][n % 4] ?? 1),
  (g, a) => g.neg(a),
  (g, a) => g.abs(a),
  (g, a) => g.tanh(a),
  (g, a) => g.sigmoid(a),
  (g, a) => g.silu(a),
  (g, a, b) => g.mul(g.silu(a), like(g, a, b)),
  (g, a, b) => g.where(g.lt(a, like(g, a, b)), a, g.neg(a)),
];
const movements: readonly Make[] = [
  (g, a) => g.reshape(g.reshape(a, { shape: [Number(a.shape.reduce<number>((p, d) => p * Number(d), 1))] }), { shape: a.shape }),
  (g, a) => g.transpose(a, { perm: a.shape.map((_, i) => a.shape.length - 1 - i) }),
  (g, a, _, n) => g.slice(a, { axis: n % a.shape.length, start: n % 2, size: 1 }),
  (g, a, b) => g.concat([a, like(g, a, b)], { axis: 0 }),
];
const casts: readonly Make[] = [
  (g, a, _, n) => g.cast(a, { dtype: (["f32", "f16", "i32"] as const)[n % 3] ?? "f32" }),
  (g, a) => g.cast(g.cast(a, { dtype: "f32" }), { dtype: a.dtype }),
];
const routines: readonly Make[] = [
  (g, a) => g.mul(a, g.sigmoid(a)),
  (g, a) => g.rmsNorm(a),
  (g, a, b) => g.layerNorm(g.add(a, like(g, a, b))),
  (g, a, _, n) => g.linear(a, g.param(`w${n % 5}.${a.shape.at(-1)}`, "f32", [4, a.shape.at(-1) ?? 1])),
  (g, a, b) => g.relu(g.add(g.linear(a, g.param(`v.${a.shape.at(-1)}`, "f32", [4, a.shape.at(-1) ?? 1])), b)),
  (g, a) => g.softmax(a),
  (g, a) => g.reduceSum(a, { axes: [0] }),
  (g, a, _, n) => g.kvWrite(g.state(`s${n}`, "f32", [1, 4, 4]), g.expand(a, { shape: [1, 1, 4] }), g.constant(n % 4, "i32")),
];

function randomGraphs(dtypes: readonly DType[], makers: readonly Make[]): fc.Arbitrary<Graph> {
  const leaf = fc.record({ shape: fc.constantFrom(...shapes), dtype: fc.constantFrom(...dtypes), kind: fc.integer({ min: 0, max: 4 }) });
  const step = fc.record({ make: fc.constantFrom(...makers), a: fc.nat(), b: fc.nat(), n: fc.nat({ max: 1000 }) });
  const some = { minLength: 1, maxLength: 3 };
  return fc
    .record({ leaves: fc.array(leaf, some), steps: fc.array(step, { minLength: 1, maxLength: 30 }), outputs: fc.array(fc.nat(), some) })
    .map(({ leaves, steps, outputs }) =>
      define("random", (g) => {
        const pool = leaves.map(({ shape, dtype, kind }, i) => {
          if (kind === 0) return g.param(`p${i}`, dtype, shape);
          const size = shape.reduce<number>((p, d) => p * d, 1);
          if (kind === 1)
            return g.constant(
              Tensor.from(
                dtype,
                shape,
                Array.from({ length: size }, (_, j) => j - 2),
              ),
            );
          return g.input(`x${i}`, dtype, shape);
        });
        // Mostly the newest values, so that chains form.
        const pick = (i: number): Value => pool.at(-1 - (i % Math.min(3, pool.length))) ?? g.constant(1);
        for (const { make, a, b, n } of steps) {
          try {
            pool.push(make(g, pick(a), pick(b), n));
          } catch (error) {
            if (!(error instanceof RlxError)) throw error;
          }
        }
        const picked = [...outputs.map((o) => pool[o % pool.length]), pool.at(-1)].filter((v) => v !== undefined);
        return Object.fromEntries(picked.map((v, i) => [`o${i}`, v]));
      }),
    );
}

const isFused = (op: string): boolean => op === "region" || op === "with_epilogue";

test("simplified graphs keep every bit", () => {
  fc.assert(
    fc.property(randomGraphs(["f32", "f16", "i32"], [...elementwise, ...movements, ...casts, ...routines]), (graph) => {
      const { graph: out } = compileGraph(graph, kernelsFor(), { fuse: false, verify: true });
      expect(bits(evaluate(out))).toEqual(bits(evaluate(graph)));
    }),
    { numRuns: 300, seed: 1 },
  );
});

test("regions of narrow floats keep every bit", () => {
  let fused = 0;
  fc.assert(
    fc.property(randomGraphs(["f16"], [...elementwise, ...movements]), (graph) => {
      const { graph: out } = compileGraph(graph, kernelsFor(), { verify: true });
      fused += out.nodes.filter((n) => isFused(n.op)).length;
      expect(bits(evaluate(out))).toEqual(bits(evaluate(graph)));
    }),
    { numRuns: 300, seed: 2 },
  );
  expect(fused).toBeGreaterThan(150);
});

test("fused and decomposed graphs stay within rounding errors", () => {
  let fused = 0;
  fc.assert(
    fc.property(randomGraphs(["f32"], [...elementwise, ...movements, ...routines]), fc.boolean(), (graph, decompose) => {
      const kernels = decompose ? without("rms_norm", "residual_layer_norm", "layer_norm", "softmax") : kernelsFor();
      const { graph: out } = compileGraph(graph, kernels, { verify: true });
      fused += out.nodes.filter((n) => isFused(n.op)).length;
      expect(difference(evaluate(graph), evaluate(out))).toBeLessThan(1e-4);
    }),
    { numRuns: 300, seed: 3 },
  );
  expect(fused).toBeGreaterThan(150);
});
