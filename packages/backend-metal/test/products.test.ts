import { type AnyOpDef, define, dim, evaluateGraph, mulDims, ops, Rng, randomTensor, type Tensor } from "@rlxjs/ir";
import { metalKernels } from "@rlxjs/backend-metal";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Case, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { backendOf, describeVariants, expectNoFaults, openSession } from "./variants.ts";

const dtype = fc.constantFrom("f32" as const, "f16" as const, "bf16" as const);
const size = (max: number) =>
  fc.oneof({ weight: 1, arbitrary: fc.constantFrom(0, 1) }, { weight: 6, arbitrary: fc.integer({ min: 1, max }) });

/** Random samples of an op, the same ones in every variant. */
const sampled = (arbitrary: fc.Arbitrary<(rng: Rng) => Omit<Case, "name">>, seed: number, count: number): Case[] => {
  const rng = new Rng(seed);
  return fc.sample(arbitrary, { seed, numRuns: count }).map((make, i) => {
    const sample = make(rng);
    return { name: `${i}: ${sample.slots.map((t) => `${t?.dtype}[${t?.shape}]`).join(" ")}`, ...sample };
  });
};

const matmuls = sampled(
  fc
    .record({
      dtype,
      m: fc.oneof(size(9), size(70)),
      n: size(80),
      k: size(90),
      transposeB: fc.boolean(),
      batch: fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.boolean(), fc.boolean()), { maxLength: 3 }),
      short: fc.boolean(),
    })
    .map(({ dtype: d, m, n, k, transposeB, batch, short }) => (rng: Rng) => {
      // Each leading axis is broadcast on the left, on the right, or on neither; the right one may have none.
      const left = batch.map(([extent, broadcast]) => (broadcast ? 1 : extent));
      const right = batch.map(([extent, , broadcast]) => (broadcast ? 1 : extent));
      const b = transposeB ? [n, k] : [k, n];
      return {
        slots: [randomTensor(rng, d, [...left, m, k]), randomTensor(rng, d, [...(short ? right.slice(1) : right), ...b])],
        attrs: { transposeB },
      };
    }),
  11,
  40,
);

const convolutions = sampled(
  fc
    .record({
      x: dtype,
      w: dtype,
      images: size(2),
      groups: fc.integer({ min: 1, max: 3 }),
      depth: size(5),
      outs: fc.oneof(size(4), fc.integer({ min: 8, max: 40 })),
      taps: fc.integer({ min: 1, max: 5 }),
      length: fc.integer({ min: 24, max: 90 }),
      stride: fc.integer({ min: 1, max: 3 }),
      padding: fc.integer({ min: 0, max: 6 }),
      dilation: fc.integer({ min: 1, max: 4 }),
      bias: fc.boolean(),
    })
    .map(({ x, w, images, groups, depth, outs, taps, length, stride, padding, dilation, bias }) => (rng: Rng) => ({
      slots: [
        randomTensor(rng, x, [images, groups * depth, length]),
        randomTensor(rng, w, [groups * outs, depth, taps]),
        bias ? randomTensor(rng, w, [groups * outs]) : undefined,
      ],
      attrs: { stride, padding, dilation, groups },
    })),
  12,
  40,
);

describeVariants("products", (variant) => {
  test.each([
    ["matmul", ops.matmul, matmuls],
    ["conv1d", ops.conv1d, convolutions],
  ] as readonly [string, AnyOpDef, readonly Case[]][])("%s of random shapes", (_, def, samples) => {
    const results = resultsOf(backendOf(variant), def, samples);
    expectNoFaults();
    expect(wrongResults(def, samples, results)).toEqual([]);
  });

  test("one program of symbolic matrices and signals, with epilogues", async () => {
    const rng = new Rng(3);
    const [m, n] = [dim("m", { min: 0, max: 40 }), dim("n", { min: 0, max: 70 })];
    const w = randomTensor(rng, "f16", [9, 4, 3], 0.3);
    const graph = define("products", (g) => {
      const [a, b] = [g.input("a", "f32", [2, 3, m, 20]), g.input("b", "f32", [3, 20, n])];
      const c = g.input("c", "f32", [n, 20]);
      const signal = g.input("signal", "f32", [2, 4, mulDims(2, n)]);
      return {
        product: g.relu(g.add(g.matmul(a, b), g.input("column", "f32", [n]))),
        transposed: g.mul(g.matmul(a, c, { transposeB: true }), g.input("row", "f32", [m, 1])),
        conv: g.gelu(g.conv1d(signal, g.constant(w), { stride: 2, padding: 1 })),
      };
    });
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    for (const [rows, columns] of [
      [1, 70],
      [4, 3],
      [8, 33],
      [9, 65],
      [40, 1],
      [0, 5],
      [3, 0],
    ] as const) {
      const inputs = {
        a: randomTensor(rng, "f32", [2, 3, rows, 20]),
        b: randomTensor(rng, "f32", [3, 20, columns]),
        c: randomTensor(rng, "f32", [columns, 20]),
        signal: randomTensor(rng, "f32", [2, 4, 2 * columns]),
        column: randomTensor(rng, "f32", [columns]),
        row: randomTensor(rng, "f32", [rows, 1]),
      };
      const actual: Readonly<Record<string, Tensor>> = compiled.runSync({ inputs });
      expectNoFaults();
      for (const [name, expected] of Object.entries(evaluateGraph(graph, { inputs, extents: { m: rows, n: columns } })))
        for (const [i, v] of expected.toArray().entries())
          expect(Math.abs((actual[name]?.get(i) ?? Number.NaN) - v), `${name}[${i}] at ${rows}, ${columns}`).toBeLessThanOrEqual(
            1e-5 * Math.max(1, Math.abs(v)),
          );
    }
  });
});

test("f64 is refused, with the reason", () => {
  const f64 = (...shape: number[]) => ({ dtype: "f64" as const, shape, weight: false });
  const reason = (def: AnyOpDef, inputs: readonly ReturnType<typeof f64>[], attrs = {}) => {
    const outputs = [{ dtype: "f64" as const, shape: [2, 2] }];
    return metalKernels.find((k) => k.op === def.name)?.accepts({ def, attrs, inputs, outputs });
  };
  for (const def of [ops.linear, ops.matmul, ops.embedding, ops.dequantize] as readonly AnyOpDef[])
    expect(reason(def, [f64(2, 2), f64(2, 2)])).toBe("metal has no f64");
  expect(reason(ops.groupedLinear, [f64(2, 2), f64(3, 2, 2), f64(2, 2)])).toBe("metal has no f64");
  expect(reason(ops.conv1d, [f64(1, 2, 2), f64(2, 2, 1)])).toBe("metal has no f64");
});
