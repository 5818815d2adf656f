import { define, dim, evaluateGraph, type Graph, randomTensor, Rng, type Value } from "@rlxjs/ir";
import { Session, WeightStore } from "@rlxjs/runtime";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const COLUMNS = 4;
const seq = dim("seq", { min: 2, max: 6 });

/**
 * A random graph over values [seq, 4]: ops that run in place, views, parts, copies, several outputs, a state, weights and expressions
 * of them. Each choice picks an op and its operands among the values so far; every value may be an output.
 */
function randomGraph(choices: readonly (readonly [number, number, number])[], outputs: readonly number[]): Graph {
  return define("random", (g) => {
    const values: Value[] = [g.input("x", "f32", [seq, COLUMNS]), g.input("y", "f32", [seq, COLUMNS])];
    const w = g.param("w", "f32", [COLUMNS, COLUMNS]);
    let state = g.state("s", "f32", [seq, COLUMNS]);
    const ops: ((a: Value, b: Value) => Value)[] = [
      (a, b) => g.add(a, b),
      (a, b) => g.mul(a, g.sigmoid(b)),
      (a) => g.softmax(a),
      (a) => g.tanh(g.linear(a, g.transpose(w, { perm: [1, 0] }))),
      (a) => g.tanh(g.linear(a, w, { bias: g.slice(g.reshape(w, { shape: [16] }), { axis: 0, start: 3, size: COLUMNS }) })),
      (a) => g.reshape(g.neg(g.reshape(a, { shape: [1, seq, COLUMNS] })), { shape: [seq, COLUMNS] }),
      (a, b) => g.concat([g.slice(a, { axis: 1, start: 1, size: 3 }), g.slice(b, { axis: 1, start: 0, size: 1 })], { axis: 1 }),
      (a, b) => g.add(g.slice(a, { axis: 0, start: 1, size: 1 }), b),
      (a) => g.sub(a, g.reduceMean(a, { axes: [1], keepDims: true })),
      (a, b) => {
        const { sum, normed } = g.residualRmsNorm(a, b, { eps: 1e-5 });
        return g.add(normed, g.tanh(sum));
      },
      (a) => g.topk(a, { k: COLUMNS }).values,
      (a) => {
        state = g.stateWrite(state, a);
        return g.add(state, 0.5);
      },
    ];
    for (const [op, a, b] of choices) {
      const pick = (n: number): Value => values[n % values.length] ?? w;
      const made = ops[op % ops.length]?.(pick(a), pick(b));
      if (made) values.push(made);
    }
    const last = values.length - 1;
    return Object.fromEntries([...new Set([...outputs.map((o) => o % values.length), last])].map((o) => [`o${o}`, values[o] ?? w]));
  });
}

const rng = new Rng(7);
const w = randomTensor(rng, "f32", [COLUMNS, COLUMNS]);

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  const weights = new WeightStore({ w });
  afterAll(() => {
    weights[Symbol.dispose]();
    session[Symbol.dispose]();
  });

  test.each([true, false])("programs compute what their graphs say (fused: %s)", (fuse) => {
    const choice = fc.tuple(fc.nat(100), fc.nat(100), fc.nat(100));
    const cases = fc.record({
      choices: fc.array(choice, { minLength: 1, maxLength: 20 }),
      outputs: fc.array(fc.nat(100), { maxLength: 4 }),
    });
    fc.assert(
      fc.property(cases, fc.integer({ min: 2, max: 6 }), ({ choices, outputs }, rows) => {
        const graph = randomGraph(choices, outputs);
        const inputs = { x: randomTensor(rng, "f32", [rows, COLUMNS]), y: randomTensor(rng, "f32", [rows, COLUMNS]) };
        const untouched = inputs.x.data.slice();
        const expected = evaluateGraph(graph, { inputs, params: () => w, extents: { seq: rows } });
        using compiled = session.compileSync(graph, { weights, passes: { fuse } });
        const actual = compiled.runSync({ inputs });
        for (const [name, tensor] of Object.entries(expected)) {
          const got = actual[name];
          expect(got?.shape).toEqual(tensor.shape);
          for (const [i, v] of tensor.toArray().entries())
            expect(Math.abs((got?.get(i) ?? Number.NaN) - v)).toBeLessThan(1e-4 * Math.max(1, Math.abs(v)));
        }
        expect(inputs.x.data).toEqual(untouched);
      }),
      { numRuns: 150 },
    );
  });
});
