import type { DType } from "./dtype.ts";
import { byteLength, dtypes, isBlock, isFloat } from "./dtype.ts";
import { numberToF16 } from "./float.ts";
import type { Rng } from "./rng.ts";
import { Tensor } from "./tensor.ts";

export const floatDTypes = ["f32", "f16", "bf16", "f64"] as const satisfies readonly DType[];
export const intDTypes = ["i8", "u8", "i16", "i32", "u32", "i64"] as const satisfies readonly DType[];
export const numericDTypes = [...floatDTypes, ...intDTypes] as const;

/** Random tensor: standard normals for floats, small integers, coin flips for bools; block formats are quantized normals. */
export function randomTensor(rng: Rng, dtype: DType, shape: readonly number[], scale = 1): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  if (dtype === "bool")
    return Tensor.from(
      dtype,
      shape,
      Array.from({ length: n }, () => rng.int(0, 1)),
    );
  if (isFloat(dtype) || isBlock(dtype))
    return Tensor.from(
      dtype,
      shape,
      rng.normals(n).map((v) => v * scale),
    );
  const low = dtype.startsWith("u") ? 0 : -50;
  return Tensor.from(
    dtype,
    shape,
    Array.from({ length: n }, () => rng.int(low, 50)),
  );
}

/** Shapes that find mistakes: empty, one element, odd, and large enough for several tiles. */
export const unaryShapes: readonly (readonly number[])[] = [[0], [], [1], [7], [3, 5], [2, 3, 17], [1031]];
/** Pairs that broadcast in every way. */
export const binaryShapes: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[0, 3], [3]],
  [[], []],
  [[5], []],
  [[], [5]],
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [
    [2, 3],
    [2, 1],
  ],
  [
    [4, 1, 5],
    [3, 1],
  ],
  [[1031], [1031]],
];

/** Every dtype that a weight may have. */
export const weightDTypes = [...floatDTypes, "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"] as const satisfies readonly DType[];

/** Random weight of about unit variance. The K formats cannot be quantized here: random quants and sub-scales under small block scales. */
export function weightTensor(rng: Rng, dtype: (typeof weightDTypes)[number], shape: readonly number[]): Tensor {
  if (dtype !== "q4_k" && dtype !== "q5_k" && dtype !== "q6_k") return randomTensor(rng, dtype, shape);
  const { blockBytes } = dtypes[dtype];
  const bytes = Uint8Array.from({ length: byteLength(dtype, shape) }, () => rng.int(0, 255));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const half = (offset: number, scale: number): void => view.setUint16(at + offset, numberToF16(scale * (0.5 + rng.uniform())), true);
    if (dtype === "q6_k") half(208, 1e-3);
    else {
      half(0, dtype === "q4_k" ? 6e-3 : 3e-3);
      half(2, 4e-2);
    }
  }
  return Tensor.fromBytes(dtype, shape, bytes);
}
