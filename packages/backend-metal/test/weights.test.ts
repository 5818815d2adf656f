import { byteLength, dtypes, ops, Rng, randomTensor, Tensor, weightTensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { OneOp, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { backendOf, describeVariants, expectNoFaults } from "./variants.ts";

const stored = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"] as const;
const floats = ["f32", "f16", "bf16"] as const;

describeVariants("weights in their stored form", (variant) => {
  test("any bytes of a block format have the reference's values: every code, scales that are not finite or below the normal numbers", () => {
    const rng = new Rng(1);
    const samples = stored
      .filter((d) => dtypes[d].blockSize > 1)
      .flatMap((d) => {
        const shape = [7, 1024];
        const bytes = Uint8Array.from({ length: byteLength(d, shape) }, () => rng.int(0, 255));
        const w = Tensor.fromBytes(d, shape, bytes);
        return floats.map((dtype) => ({ name: `${d} as ${dtype}`, slots: [w], attrs: { dtype } }));
      });
    const results = resultsOf(backendOf(variant), ops.dequantize, samples);
    expectNoFaults();
    expect(wrongResults(ops.dequantize, samples, results)).toEqual([]);
  });

  test("floats of any width and of no rows are converted exactly", () => {
    const rng = new Rng(2);
    const shapes = [[0, 5], [3, 0], [1], [5, 17], [3, 20], [2, 3, 64], []];
    const samples = floats.flatMap((d) =>
      shapes.flatMap((shape) =>
        floats.map((dtype) => ({ name: `${d}[${shape}]`, slots: [randomTensor(rng, d, shape, 3)], attrs: { dtype } })),
      ),
    );
    const results = resultsOf(backendOf(variant), ops.dequantize, samples);
    expectNoFaults();
    expect(wrongResults(ops.dequantize, samples, results)).toEqual([]);
  });

  test("rows by ids of every integer dtype", () => {
    const rng = new Rng(3);
    const samples = stored.flatMap((d, i) =>
      (["i8", "u8", "i16", "i32", "u32", "i64"] as const).map((idType, j) => {
        const width = dtypes[d].blockSize === 1 ? ([1, 20, 67][j % 3] ?? 1) : 256;
        const ids = Tensor.from(
          idType,
          [2, 5],
          Array.from({ length: 10 }, () => rng.int(0, 99)),
        );
        return {
          name: `${d} by ${idType}`,
          slots: [weightTensor(rng, d, [100, width]), ids],
          attrs: { dtype: floats[(i + j) % 3] ?? "f32" },
        };
      }),
    );
    const results = resultsOf(backendOf(variant), ops.embedding, samples);
    expectNoFaults();
    expect(wrongResults(ops.embedding, samples, results)).toEqual([]);
  });

  test("of several ids outside of the table the first is refused, also where rows are empty", () => {
    const rng = new Rng(4);
    for (const width of [0, 3, 40]) {
      const ids = Tensor.from("i32", [5], [0, 6, 7, -1, 2]);
      using op = new OneOp(backendOf(variant), ops.embedding, {
        name: "ids",
        slots: [randomTensor(rng, "f32", [7, width]), ids],
        attrs: { dtype: "f32" },
      });
      expect(op.kernel).toBe("embedding");
      expect(() => op.runSync()).toThrow("index 2: expected 0 to 6, got 7");
      expectNoFaults();
    }
  });
});
