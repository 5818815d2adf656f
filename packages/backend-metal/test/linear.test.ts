import { evalExpr, metalKernels, planProgram } from "@rlxjs/backend-metal";
import { define, dim, findMismatch, ops, Rng, randomTensor, runReference, Tensor, weightTensor } from "@rlxjs/ir";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { describeOnMetal, describeVariants, expectNoFaults, openSession, variants } from "./variants.ts";

const weightDTypes = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"] as const;
/** Both sides of every choice of a kernel, and of a tile. */
const rowCounts = [0, 1, 2, 5, 7, 8, 9, 33, 64, 65];
const rows = dim("rows", { min: 0, max: 70 });
const f32 = (shape: readonly number[], at: (i: number) => number): Tensor =>
  Tensor.from(
    "f32",
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => at(i)),
  );
const rowOf = (t: Tensor, row: number): Uint8Array => {
  const bytes = t.bytes.length / (t.shape[0] ?? 1);
  return t.bytes.slice(row * bytes, (row + 1) * bytes);
};

function wrong(x: Tensor, w: Tensor, bias: Tensor | undefined, actual: Tensor): unknown {
  const expected = Tensor.zeros(actual.dtype, actual.shape);
  runReference(ops.linear, [x, w, bias], {}, [expected]);
  return findMismatch(ops.linear, [x, w, bias], {}, [expected], [actual]);
}

describeVariants("linear", (variant) => {
  test("one program at every number of rows: every weight dtype, within the bound; a row has the same bits alone and among others", async () => {
    const rng = new Rng(1);
    // Columns: a tile and a bit for one dtype; odd for all. k: whole quads, odd, and even, all with a part of a tile at the end.
    const cases = weightDTypes.map((dtype, i) => {
      const k = { f32: 132, f16: 67, bf16: 70 }[dtype as string] ?? 256;
      const n = dtype === "f16" ? 67 : 5 + 2 * i;
      const x = dtype === "f16" || dtype === "bf16" ? dtype : "f32";
      return {
        dtype,
        x: randomTensor(rng, x, [70, k]),
        w: weightTensor(rng, dtype, [n, k]),
        bias: i % 2 ? randomTensor(rng, "f32", [n]) : undefined,
      };
    });
    const graph = define("linears", (g) =>
      Object.fromEntries(
        cases.map(({ dtype, x, w, bias }) => {
          const input = g.input(`x ${dtype}`, x.dtype, [rows, x.shape[1] ?? 1]);
          return [dtype, g.linear(input, g.constant(w), bias ? { bias: g.constant(bias) } : {})];
        }),
      ),
    );
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    // By rows of the few-rows kernel and of the tiles: a row's bits do not depend on the others.
    const seen = new Map<string, Uint8Array>();
    for (const count of rowCounts) {
      const xs = new Map(
        cases.map(({ dtype, x }) => [
          dtype,
          Tensor.fromBytes(x.dtype, [count, x.shape[1] ?? 1], x.bytes.slice(0, (x.bytes.length / 70) * count)),
        ]),
      );
      const outputs = compiled.runSync({ inputs: Object.fromEntries([...xs].map(([dtype, x]) => [`x ${dtype}`, x])) });
      expectNoFaults();
      for (const { dtype, w, bias } of cases) {
        const y = outputs[dtype] as Tensor;
        expect(wrong(xs.get(dtype) as Tensor, w, bias, y), `${dtype} x${count}`).toBeUndefined();
        for (let row = 0; row < count; row++) {
          const key = `${dtype} ${count > 8 ? "tiles" : "rows"} ${row}`;
          expect(rowOf(y, row), key).toEqual(seen.get(key) ?? rowOf(y, row));
          seen.set(key, rowOf(y, row));
        }
      }
    }
  });

  test("views of inputs that begin anywhere", async () => {
    const rng = new Rng(2);
    const cases = [
      ["f32", "f16", 67],
      ["f16", "bf16", 33],
      ["f32", "q8_0", 64],
      ["f32", "q4_0", 96],
      ["f32", "q6_k", 256],
    ] as const;
    for (const [xType, wType, k] of cases)
      for (const count of [2, 9]) {
        const graph = define("views", (g) => {
          const part = (name: string, dtype: typeof xType | typeof wType, n: number) =>
            g.slice(g.input(name, dtype, [n + 1, k]), { axis: 0, start: 1, size: n });
          return { y: g.linear(part("x", xType, count), part("w", wType, 7)) };
        });
        const inputs = { x: randomTensor(rng, xType, [count + 1, k]), w: weightTensor(rng, wType, [8, k]) };
        using session = await openSession(variant);
        using compiled = session.compileSync(graph);
        const { y } = compiled.runSync({ inputs });
        expectNoFaults();
        const [x, w] = [inputs.x, inputs.w].map((t) =>
          Tensor.fromBytes(t.dtype, [(t.shape[0] ?? 1) - 1, k], t.bytes.slice(t.bytes.length / (t.shape[0] ?? 1))),
        );
        expect(wrong(x as Tensor, w as Tensor, undefined, y as Tensor), `${wType} x${count}`).toBeUndefined();
      }
  });

  test("NaN and infinities are where the reference has them, and nowhere else", async () => {
    const [n, k] = [9, 37];
    const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    // In the last column of a row, which is alone in its quad, and in the middle; opposed infinities give NaN.
    const w = f32([n, k], (i) => (i % k === k - 1 && i < 3 * k ? (special[Math.floor(i / k)] ?? 0) : Math.sin(i)));
    const x = f32([70, k], (i) => (i % (5 * k) === 3 * k + 20 ? Number.POSITIVE_INFINITY : i % (7 * k) === k - 1 ? 0 : Math.cos(i)));
    const graph = define("special", (g) => ({ y: g.linear(g.input("x", "f32", [rows, k]), g.constant(w)) }));
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    for (const count of [1, 4, 8, 40]) {
      const input = Tensor.fromBytes("f32", [count, k], x.bytes.slice(0, 4 * k * count));
      const { y } = compiled.runSync({ inputs: { x: input } });
      expectNoFaults();
      expect(wrong(input, w, undefined, y as Tensor), `x${count}`).toBeUndefined();
    }
  });
});

test("a run of any number of rows launches one kernel; a program for one row has no other", () => {
  const launchesOf = (count: typeof rows | number) => {
    const graph = define("one", (g) => ({ y: g.linear(g.input("x", "f32", [count, 8]), g.param("w", "f16", [5, 8])) }));
    return planProgram(lowerGraph(graph, { kernels: metalKernels }), metalKernels).launches.map(({ launch }) => launch);
  };
  expect(launchesOf(1).map((l) => l.function)).toEqual(["linear_rows"]);
  expect(launchesOf(9).map((l) => l.function)).toEqual(["linear_tiles"]);
  const all = launchesOf(rows);
  const ran = (count: number): string[] =>
    all.flatMap(({ grid, function: name, constants }) => {
      const size = "threadgroups" in grid ? grid.threadgroups : grid.threads;
      const extents = size.map((e) => evalExpr(e, { rows: count }));
      return extents.includes(0) ? [] : [name === "linear_rows" ? `${name} ${constants.at(-1)?.value}: ${extents}` : `${name}: ${extents}`];
    });
  expect(rowCounts.map((count) => [count, ...ran(count)])).toMatchInlineSnapshot(`
    [
      [
        0,
      ],
      [
        1,
        "linear_rows 1: 1,1,1",
      ],
      [
        2,
        "linear_rows 4: 1,1,1",
      ],
      [
        5,
        "linear_rows 8: 2,1,1",
      ],
      [
        7,
        "linear_rows 8: 2,1,1",
      ],
      [
        8,
        "linear_rows 8: 2,1,1",
      ],
      [
        9,
        "linear_tiles: 1,1,1",
      ],
      [
        33,
        "linear_tiles: 2,1,1",
      ],
      [
        64,
        "linear_tiles: 2,1,1",
      ],
      [
        65,
        "linear_tiles: 3,1,1",
      ],
    ]
  `);
});

describeOnMetal("linear", () => {
  test("the same bits in all variants", async () => {
    const rng = new Rng(4);
    const inputs = { x: randomTensor(rng, "f32", [40, 256]) };
    const w = weightTensor(rng, "q6_k", [70, 256]);
    const graph = define("bits", (g) => ({ y: g.linear(g.input("x", "f32", [40, 256]), g.constant(w)) }));
    const results: Uint8Array[] = [];
    for (const variant of variants) {
      using session = await openSession(variant);
      using compiled = session.compileSync(graph);
      results.push((compiled.runSync({ inputs }).y as Tensor).bytes.slice());
    }
    for (const bytes of results) expect(bytes).toEqual(results[0]);
  });
});
