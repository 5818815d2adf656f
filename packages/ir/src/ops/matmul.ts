import { dimEquals } from "../dim.ts";
import { broadcastStrides, offsetAt } from "../elementwise.ts";
import { ShapeError } from "../errors.ts";
import { attr, defineOp, input } from "../op.ts";
import { floatDTypes, randomTensor } from "../samples.ts";
import { broadcastShapes, sameDType, showType } from "../shape.ts";
import { dot, product } from "./rules.ts";

export const matmul = defineOp({
  name: "matmul",
  doc: "a [..., m, k] times b [..., k, n] (transposeB: [..., n, k]) gives [..., m, n]; leading axes broadcast.",
  inputs: [input("a", "float"), input("b", "float")],
  attrs: { transposeB: attr.bool.default(false) },
  traits: { epilogue: true, accumulate: { dtype: "f32", length: ([a]) => a?.shape.at(-1) ?? 1, magnitude: "absolute" } },
  infer: ({ a, b }, { transposeB }) => {
    sameDType("matmul", [a, b]);
    const [m, k] = a.shape.slice(-2);
    const [r, c] = b.shape.slice(-2);
    if (m === undefined || k === undefined) throw new ShapeError("matmul", `a: expected at least two axes, got ${showType(a)}`);
    if (r === undefined || c === undefined) throw new ShapeError("matmul", `b: expected at least two axes, got ${showType(b)}`);
    const [bk, n] = transposeB ? [c, r] : [r, c];
    if (!dimEquals(k, bk))
      throw new ShapeError(
        "matmul",
        `b: expected ${k} along its ${transposeB ? "last" : "second to last"} axis, as in a ${showType(a)}, got ${showType(b)}`,
      );
    return { dtype: a.dtype, shape: [...broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n] };
  },
  reference: ({ a, b }, { transposeB }, out) => {
    const [m = 0, n = 0] = out.shape.slice(-2);
    const k = a.shape.at(-1) ?? 0;
    const batch = out.shape.slice(0, -2);
    const [as, bs] = [a, b].map((t) => broadcastStrides(t.shape.slice(0, -2), batch)) as [number[], number[]];
    const av = a.values();
    const rows = transposeB ? b.values() : transposed(b.values(), k, n);
    for (let i = 0; i < product(batch); i++) {
      const aAt = offsetAt(i, batch, as) * m * k;
      const bAt = offsetAt(i, batch, bs) * n * k;
      for (let r = 0; r < m; r++) for (let c = 0; c < n; c++) out.set((i * m + r) * n + c, dot(av, aAt + r * k, rows, bAt + c * k, k));
    }
  },
  samples: (rng) => [
    ...floatDTypes.flatMap((d) =>
      (
        [
          [
            [2, 3],
            [3, 4],
          ],
          [
            [0, 3],
            [3, 4],
          ],
          [
            [2, 0],
            [0, 4],
          ],
          [
            [1, 1],
            [1, 1],
          ],
          [
            [5, 67],
            [67, 33],
          ],
          [
            [2, 1, 3, 5],
            [4, 5, 7],
          ],
          [
            [3, 1, 40],
            [40, 17],
          ],
          [
            [1, 129],
            [129, 70],
          ],
        ] as const
      ).flatMap(([a, b]) => [
        { inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, b) } },
        {
          inputs: { a: randomTensor(rng, d, a), b: randomTensor(rng, d, [...b.slice(0, -2), ...b.slice(-2).reverse()]) },
          attrs: { transposeB: true },
        },
      ]),
    ),
    // Several matrices of several tiles both ways and along k, or of several groups of columns, none of them whole; with quads and without.
    ...(
      [
        ["f32", [2, 1, 33, 36], [3, 36, 68]],
        ["f16", [2, 41, 35], [2, 35, 70]],
        ["f32", [3, 1, 1, 20], [2, 20, 44]],
        ["f32", [2, 4, 21], [2, 21, 36]],
        ["f32", [2, 6, 20], [2, 20, 34]],
      ] as const
    ).flatMap(([d, a, b]) =>
      [false, true].map((transposeB) => ({
        inputs: {
          a: randomTensor(rng, d, a),
          b: randomTensor(rng, d, transposeB ? [...b.slice(0, -2), ...b.slice(-2).reverse()] : b),
        },
        attrs: { transposeB },
      })),
    ),
  ],
});

/** Matrices [k, n] one after the other as [n, k]. */
function transposed(v: Float32Array | Float64Array, k: number, n: number): Float64Array {
  const out = new Float64Array(v.length);
  for (let base = 0; base < v.length; base += k * n)
    for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) out[base + j * k + i] = v[base + i * n + j] ?? 0;
  return out;
}
