import { ShapeError } from "../errors.ts";
import { fwht as transform, fwhtThenSign, isHadamardOrder, signThenFwht } from "../kv-codec/hadamard.ts";
import { attr, defineOp, input, type TensorType } from "../op.ts";
import { randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { lastExtent } from "./rules.ts";

/** Where the sign diagonal of KV codecs comes in. */
export type FwhtSigns = "none" | "before" | "after";
const rotations = { none: transform, before: signThenFwht, after: fwhtThenSign } as const;

/** @throws ShapeError for rows that there is no transform of. */
export function expectRows(op: string, operand: string, x: TensorType, signs: FwhtSigns): void {
  const dim = lastExtent(op, operand, x);
  if (x.dtype !== "f32") throw new ShapeError(op, `${operand}: expected f32, got ${showType(x)}`);
  if (typeof dim === "number" && isHadamardOrder(dim, signs !== "none")) return;
  const most = signs === "none" ? "" : ", up to 512";
  throw new ShapeError(op, `${operand}: expected a last extent that is a power of two, or 12 or 20 times one${most}, got ${showType(x)}`);
}

/** Transform the rows of a tensor, in place. */
export function rotateRows(x: Tensor, signs: FwhtSigns): void {
  rotations[signs](new Float32Array(x.data.buffer, x.data.byteOffset, x.size), x.shape.at(-1));
}

export const fwht = defineOp({
  name: "fwht",
  doc:
    "Orthonormal Walsh-Hadamard transform of each row x [..., D], f32: D a power of two, or 12 or 20 times one. signs: the diagonal of KV codecs before it " +
    "(queries of a quantized cache) or after it (the output of attention over one), D up to 512. Bits are the same everywhere.",
  inputs: [input("x", "float")],
  attrs: { signs: attr.oneOf("none", "before", "after") },
  traits: { inPlace: ["x"] },
  infer: ({ x }, { signs }) => {
    expectRows("fwht", "x", x, signs);
    return x;
  },
  reference: ({ x }, { signs }, out) => {
    out.bytes.set(x.bytes);
    rotateRows(out, signs);
  },
  samples: (rng) => [
    ...[1, 2, 4, 12, 20, 40, 64, 80, 96, 128, 192, 1024].map((n) => ({ inputs: { x: randomTensor(rng, "f32", [3, n]) } })),
    ...[8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 256, 320, 384, 512].flatMap((n) =>
      (["before", "after"] as const).map((signs) => ({ inputs: { x: randomTensor(rng, "f32", [2, 5, n]) }, attrs: { signs } })),
    ),
    { inputs: { x: randomTensor(rng, "f32", [0, 8]) } },
    { inputs: { x: randomTensor(rng, "f32", [64]) }, attrs: { signs: "before" as const } },
    ...[1280, 4096].map((n) => ({ inputs: { x: randomTensor(rng, "f32", [2, n]) } })),
  ],
});
