import { errorBound, findMismatch, ops, Rng, randomTensor, runReference, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";

const rng = new Rng(3);
const linear = (x: Tensor, w: Tensor): Tensor => {
  const y = Tensor.zeros(x.dtype, [x.shape[0] ?? 0, w.shape[0] ?? 0]);
  runReference(ops.linear, [x, w, undefined], {}, [y]);
  return y;
};

test("float32 sums in any order are within the bound, a lost term is not", () => {
  const [x, w] = [randomTensor(rng, "f32", [3, 257]), randomTensor(rng, "f32", [5, 257])];
  const y = linear(x, w);
  const [xv, wv] = [x.values(), w.values()];
  for (const step of [1, 2, 256]) {
    // 257 is prime, so every step visits every term, in another order.
    const sums = Array.from({ length: 15 }, (_, i) => {
      let sum = 0;
      for (let n = 0; n < 257; n++) {
        const k = (n * step) % 257;
        sum = Math.fround(sum + Math.fround((xv[Math.floor(i / 5) * 257 + k] ?? 0) * (wv[(i % 5) * 257 + k] ?? 0)));
      }
      return sum;
    });
    expect(findMismatch(ops.linear, [x, w, undefined], {}, [y], [Tensor.from("f32", [3, 5], sums)])).toBeUndefined();
  }
  const lost = Tensor.from(
    "f32",
    [3, 5],
    y.toArray().map((v, i) => v - (xv[Math.floor(i / 5) * 257 + 7] ?? 0) * (wv[(i % 5) * 257 + 7] ?? 0)),
  );
  expect(findMismatch(ops.linear, [x, w, undefined], {}, [y], [lost])).toMatchObject({ output: "out" });
});

test("activations rounded to int8 per block are within the bound of a block-format weight, and of no other", () => {
  const [x, w] = [randomTensor(rng, "f32", [2, 64]), randomTensor(rng, "q8_0", [9, 64])];
  const rounded = Tensor.from("f32", [2, 64], Tensor.from("q8_0", [2, 64], x.values()).values());
  const [y, quantized] = [linear(x, w), linear(rounded, w)];
  expect(findMismatch(ops.linear, [x, w, undefined], {}, [y], [quantized])).toBeUndefined();
  const floats = Tensor.from("f32", [9, 64], w.values());
  expect(findMismatch(ops.linear, [x, floats, undefined], {}, [y], [quantized])).toBeDefined();
});

test("moves, casts, comparisons and integers must match to the bit", () => {
  const x = randomTensor(rng, "f32", [7]);
  const half = Tensor.zeros("f16", [7]);
  runReference(ops.cast, [x], { dtype: "f16" }, [half]);
  expect([...errorBound(ops.cast, [x], { dtype: "f16" }, [half])]).toEqual(Array(7).fill(0));
  const i = randomTensor(rng, "i32", [7]);
  expect([...errorBound(ops.add, [i, i], {}, [i])]).toEqual(Array(7).fill(0));
  expect([...errorBound(ops.neg, [x], {}, [x])]).toEqual(Array(7).fill(0));
  expect([...errorBound(ops.relu, [x], {}, [x])]).toEqual(Array(7).fill(0));
  const off = Tensor.from(
    "f32",
    [7],
    x.toArray().map((v) => v * (1 + 2 ** -20)),
  );
  expect(findMismatch(ops.slice, [x], { axis: 0, start: 0, size: 7 }, [x], [off])).toBeDefined();
});

test("elementwise bounds follow the conditioning of the expression", () => {
  const [a, b] = [Tensor.from("f32", [2], [1, 1e6]), Tensor.from("f32", [2], [1, 1e6])];
  const zero = Tensor.zeros("f32", [2]);
  expect([...errorBound(ops.sub, [a, b], {}, [zero])].every((e) => e < 1e-30)).toBe(true); // one rounding of an exact zero
  const gate = Tensor.from("f32", [1], [-20]);
  const y = Tensor.zeros("f32", [1]);
  runReference(ops.silu, [gate], {}, [y]);
  const [bound = 0] = errorBound(ops.silu, [gate], {}, [y]);
  expect(bound / Math.abs(y.get(0))).toBeLessThan(2e-6);
  expect(bound).toBeGreaterThan(0);
});

test("NaN matches only NaN", () => {
  const nan = Tensor.from("f32", [1], [Number.NaN]);
  const one = Tensor.from("f32", [1], [1]);
  expect(findMismatch(ops.exp, [nan], {}, [nan], [nan])).toBeUndefined();
  expect(findMismatch(ops.exp, [nan], {}, [nan], [one])).toBeDefined();
  expect(findMismatch(ops.exp, [one], {}, [one], [nan])).toBeDefined();
});

test("a power of infinity, or to an infinite power, must match to the bit", () => {
  const [a, b] = [Tensor.from("f32", [3], [0.5, 2, Infinity]), Tensor.from("f32", [3], [Infinity, -Infinity, -1])];
  const power = Tensor.zeros("f32", [3]);
  runReference(ops.pow, [a, b], {}, [power]);
  expect(power.toArray()).toEqual([0, 0, 0]);
  expect(findMismatch(ops.pow, [a, b], {}, [power], [Tensor.from("f32", [3], [0, 0, 1e-3])])).toMatchObject({ index: 2 });
  expect(findMismatch(ops.pow, [a, b], {}, [power], [Tensor.from("f32", [3], [1, 0, 0])])).toMatchObject({ index: 0 });
});
