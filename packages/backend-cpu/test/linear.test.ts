import { createNativeBackend, loadAddon } from "@rlxjs/backend-cpu";
import { dtypes, findMismatch, ops, randomTensor, Rng, runReference, Tensor, weightTensor } from "@rlxjs/ir";
import type { Backend } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import { OneOp } from "./one-op.ts";

const { addon, reason } = loadAddon();
const isas = addon?.cpuInfo().isas ?? [];
const weightDTypes = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"] as const;
const opened: Backend[] = [];
afterAll(() => {
  for (const b of opened) b[Symbol.dispose]();
});

const weight = (rng: Rng, d: (typeof weightDTypes)[number], shape: readonly number[]): Tensor =>
  dtypes[d].class === "block" ? weightTensor(rng, d, shape) : randomTensor(rng, d, shape);
/** Rows [from, to) of a matrix. */
function rows(x: Tensor, from: number, to: number): Tensor {
  const width = x.bytes.length / (x.shape[0] ?? 1);
  return Tensor.fromBytes(x.dtype, [to - from, x.shape[1] ?? 1], x.bytes.slice(from * width, to * width));
}

test("the addon is built", () => expect(reason).toBeUndefined());

describe.each(isas)("%s", (isa) => {
  const backend = (threads: number): Backend => {
    if (!addon) throw new Error("no addon");
    const b = createNativeBackend(addon, { isa, threads });
    opened.push(b);
    return b;
  };
  const [one, two] = [backend(1), backend(2)];
  const linear = (b: Backend, x: Tensor, w: Tensor, bias?: Tensor): Tensor => {
    using op = new OneOp(b, ops.linear, { name: "linear", slots: [x, w, bias], attrs: {} });
    expect(op.kernel).toBe("linear");
    const [y] = op.runSync();
    if (!y) throw new Error("no output");
    return y;
  };

  describe.each(weightDTypes)("%s weights", (dtype) => {
    const { blockSize } = dtypes[dtype];
    // Lengths of rows: odd where the format allows it, beyond one block of sums, and short.
    const sizes =
      blockSize === 1
        ? ([
            [130, 1100],
            [7, 5],
          ] as const)
        : ([
            [130, 17 * blockSize],
            [7, blockSize],
          ] as const);
    test.each(sizes)("[%i, %i]: within the bound for 1, 2, 5 and 128 rows", (n, k) => {
      const rng = new Rng(n);
      const w = weight(rng, dtype, [n, k]);
      const bias = randomTensor(rng, "f32", [n]);
      for (const m of [1, 2, 5, 128]) {
        const slots = [randomTensor(rng, "f32", [m, k]), w, bias];
        const expected = Tensor.zeros("f32", [m, n]);
        runReference(ops.linear, slots, {}, [expected]);
        const actual = linear(two, slots[0] as Tensor, w, bias);
        expect(findMismatch(ops.linear, slots, {}, [expected], [actual])).toBeUndefined();
      }
    });

    test.each(sizes)("[%i, %i]: a row has the same bits alone and among others, on one thread and on two", (n, k) => {
      const rng = new Rng(k);
      const w = weight(rng, dtype, [n, k]);
      const x = randomTensor(rng, "f32", [67, k]);
      const all = linear(two, x, w);
      expect(linear(one, x, w).bytes).toEqual(all.bytes);
      for (const [from, to] of [
        [0, 1],
        [66, 67],
        [3, 5],
        [60, 65],
      ] as const)
        expect(linear(two, rows(x, from, to), w).bytes).toEqual(rows(all, from, to).bytes);
    });

    test("an expert inside the packed rows gives the bits of its own linear", () => {
      const rng = new Rng(5);
      const [tokens, chosen, n, k] = [9, 2, 21, Math.max(64, blockSize)];
      const w = weight(rng, dtype, [5, n, k]);
      const x = randomTensor(rng, "f32", [tokens, k]);
      const ids = Array.from({ length: tokens * chosen }, () => rng.int(0, 4));
      const slots = [x, w, Tensor.from("i32", [tokens, chosen], ids)];
      using op = new OneOp(two, ops.groupedLinear, { name: "grouped", slots, attrs: {} });
      expect(op.kernel).toBe("grouped_linear");
      const y = op.runSync()[0] as Tensor;
      const size = w.bytes.length / 5;
      for (const [i, e] of ids.entries()) {
        const own = Tensor.fromBytes(dtype, [n, k], w.bytes.slice(e * size, (e + 1) * size));
        const t = Math.floor(i / chosen);
        expect(y.bytes.slice(i * n * 4, (i + 1) * n * 4)).toEqual(linear(one, rows(x, t, t + 1), own).bytes);
      }
    });
  });

  test.each(["q8_0", "q4_0"] as const)("%s: sums of whole numbers are exact", (dtype) => {
    const rng = new Rng(11);
    const [n, k] = [33, 96];
    const w = weight(rng, dtype, [n, k]);
    const { blockBytes } = dtypes[dtype];
    for (let at = 0; at < w.bytes.length; at += blockBytes) w.bytes.set([0x00, 0x3c], at); // every scale is 1
    const values = Array.from({ length: 6 * k }, (_, i) => (i % 32 === 0 ? 127 : rng.int(-127, 127)));
    const x = Tensor.from("f32", [6, k], values);
    const expected = Tensor.zeros("f32", [6, n]);
    runReference(ops.linear, [x, w, undefined], {}, [expected]);
    expect(linear(two, x, w).toArray()).toEqual(expected.toArray());
  });

  test("an infinite or NaN activation is not lost in its block", () => {
    const w = weight(new Rng(1), "q8_0", [16, 64]);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const y = linear(
        one,
        Tensor.from(
          "f32",
          [1, 64],
          Array.from({ length: 64 }, (_, i) => (i === 40 ? bad : 1)),
        ),
        w,
      );
      for (let i = 0; i < 16; i++) expect(Number.isFinite(y.get(i))).toBe(false);
    }
  });

  test("an expert that is not there is an error", () => {
    const rng = new Rng(2);
    const slots = [randomTensor(rng, "f32", [1, 8]), randomTensor(rng, "f32", [2, 3, 8]), Tensor.from("i32", [1, 1], [2])];
    using op = new OneOp(one, ops.groupedLinear, { name: "grouped", slots, attrs: {} });
    expect(() => op.runSync()).toThrow("index 0: expected 0 to 1, got 2");
  });
});
