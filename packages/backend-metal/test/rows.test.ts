import { type AnyOpDef, type AttrRecord, checkAttrs, type Dim, type DType, dim, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { type Case, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { lengths, SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const rng = new Rng(17);
const rows = dim("rows", { min: 0, max: 9 });
const n = dim("n", { min: 0, max: 5000 });

/** An operand has the shape of x or of one of its rows, or is left out. */
type Kind = "rows" | "row" | "none";
interface RowOp {
  readonly def: AnyOpDef;
  readonly operands: readonly Kind[];
  readonly attrs?: AttrRecord;
}
const rowOps: readonly RowOp[] = [
  { def: ops.rmsNorm, operands: ["rows", "row"] },
  { def: ops.layerNorm, operands: ["rows", "row", "row"] },
  { def: ops.residualRmsNorm, operands: ["rows", "rows", "row"] },
  { def: ops.residualLayerNorm, operands: ["rows", "rows", "none", "row"], attrs: { eps: 1e-12 } },
  { def: ops.softmax, operands: ["rows"] },
  { def: ops.logSoftmax, operands: ["rows"] },
  { def: ops.cumsum, operands: ["rows"] },
  { def: ops.cumsum, operands: ["rows"], attrs: { reverse: true, exclusive: true } },
];
const named = rowOps.map((op, i) => [`${op.def.name} ${i}`, op] as const);
const typeOf = (dtype: DType, kind: Kind, r: Dim, length: Dim) =>
  kind === "none" ? undefined : { dtype, shape: kind === "rows" ? [r, length] : [length] };
const random = (dtype: DType, kind: Kind, r: number, length: number): Tensor | undefined =>
  kind === "none" ? undefined : randomTensor(rng, dtype, kind === "rows" ? [r, length] : [length]);

describeVariants("rows", (variant) => {
  test.each(named)("%s: one program at every length", (_, { def, operands, attrs }) => {
    const types = operands.map((kind) => typeOf("f16", kind, rows, n));
    using op = new SymbolicOp(backendOf(variant), def, types, attrs);
    for (const length of lengths) {
      const r = length > 200 ? 1 : 3 + (length % 7);
      const slots = operands.map((kind) => random("f16", kind, r, length));
      expect(op.wrong(slots, { rows: r, n: length })).toEqual([]);
    }
    expectNoFaults();
  });

  test.each(named)("%s: lengths that are known, every dtype", (_, { def, operands, attrs = {} }) => {
    const samples = lengths.map((length, i): Case => {
      const dtype = (["f32", "bf16", "f16"] as const)[i % 3] ?? "f32";
      const slots = operands.map((kind) => random(dtype, kind, length > 1000 ? 1 : 3, length));
      return { name: `${dtype} ${length}`, slots, attrs: checkAttrs(def, attrs) };
    });
    expect(wrongResults(def, samples, resultsOf(backendOf(variant), def, samples))).toEqual([]);
    expectNoFaults();
  });

  test.each(named)("%s: views at odd places", (_, { def, operands, attrs }) => {
    for (const [dtype, shift] of [
      ["f16", 1],
      ["bf16", 2],
      ["f32", 1],
      ["f32", 2],
    ] as const) {
      const types = operands.map((kind) => typeOf(dtype, kind, 3, 260));
      using op = new SymbolicOp(backendOf(variant), def, types, attrs, shift);
      expect(op.wrong(operands.map((kind) => random(dtype, kind, 3, 260)))).toEqual([]);
    }
    expectNoFaults();
  });

  test("rows of one value, of infinities and NaN", () => {
    const values = [0, 1, -3.5, 1e4, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    // What a residual norm makes of such rows, the next test says.
    for (const { def, operands, attrs = {} } of rowOps.filter((op) => op.operands[1] !== "rows")) {
      const samples = values.flatMap((value) =>
        [5, 64, 5000].map((length): Case => {
          const x = Tensor.from("f32", [2, length], new Array<number>(2 * length).fill(value));
          // The second row has the value at its end only.
          for (let i = length; i < 2 * length - 1; i++) x.set(i, 0.5);
          const slots = operands.map((kind, slot) => (slot === 0 ? x : random("f32", kind, 2, length)));
          return { name: `${length} of ${value}`, slots, attrs: checkAttrs(def, attrs) };
        }),
      );
      expect(wrongResults(def, samples, resultsOf(backendOf(variant), def, samples)), def.name).toEqual([]);
    }
    expectNoFaults();
  });

  test("residual norms are norms of the rounded sum, to the bit", () => {
    const backend = backendOf(variant);
    const attrs = checkAttrs(ops.layerNorm, {});
    for (const [dtype, length] of [
      ["f16", 1028],
      ["bf16", 33],
      ["f32", 5],
    ] as const)
      for (const [residual, plain] of [
        [ops.residualRmsNorm, ops.rmsNorm],
        [ops.residualLayerNorm, ops.layerNorm],
      ] as const) {
        const [x, other] = [randomTensor(rng, dtype, [4, length]), randomTensor(rng, dtype, [4, length])];
        x.set(0, Number.POSITIVE_INFINITY);
        other.set(length, Number.NaN);
        const absent = plain.inputs.slice(1).map(() => undefined);
        const [sum, normed] = resultsOf(backend, residual, [{ name: "residual", slots: [x, other, ...absent], attrs }]);
        const [again] = resultsOf(backend, plain, [{ name: "plain", slots: [sum, ...absent], attrs }]);
        expect(sum?.get(3)).toBe(Tensor.from(dtype, [], [x.get(3) + other.get(3)]).get(0));
        expect(normed?.bytes).toEqual(again?.bytes);
      }
    expectNoFaults();
  });

  test("group_norm at any number of positions, softmax and cumsum along other axes", () => {
    const groupNorm = [
      { dtype: "f16" as const, shape: [rows, 6, n] },
      { dtype: "f32" as const, shape: [6] },
      { dtype: "bf16" as const, shape: [6] },
    ];
    using grouped = new SymbolicOp(backendOf(variant), ops.groupNorm, groupNorm, { groups: 3 });
    for (const length of [0, 1, 2, 15, 16, 17, 300]) {
      const slots = groupNorm.map(({ dtype }, i) => randomTensor(rng, dtype, i === 0 ? [2, 6, length] : [6]));
      expect(grouped.wrong(slots, { rows: 2, n: length })).toEqual([]);
    }
    for (const def of [ops.softmax, ops.logSoftmax, ops.cumsum]) {
      using along = new SymbolicOp(backendOf(variant), def, [{ dtype: "f32", shape: [rows, n, 5] }], { axis: 1 }, 1);
      for (const length of [0, 1, 2, 33, 300])
        expect(along.wrong([randomTensor(rng, "f32", [3, length, 5])], { rows: 3, n: length })).toEqual([]);
    }
    expectNoFaults();
  });

  test("running sums of integers wrap, of many lanes as of few", () => {
    const samples = [
      [3, 700],
      [1, 5, 3000],
      [2, 9, 1100],
    ].flatMap((shape, i) =>
      (["i8", "i16", "u32", "i64"] as const).map((dtype): Case => {
        const x = randomTensor(rng, dtype, shape, 1);
        if (dtype === "i64") for (let k = 0; k < x.size; k += 3) x.setInt(k, 2n ** 62n + BigInt(k));
        const attrs = checkAttrs(ops.cumsum, { axis: 1, reverse: i === 1, exclusive: i === 2 });
        return { name: `${dtype} ${shape}`, slots: [x], attrs };
      }),
    );
    expect(wrongResults(ops.cumsum, samples, resultsOf(backendOf(variant), ops.cumsum, samples))).toEqual([]);
    expectNoFaults();
  });
});
