import { ShapeError } from "../errors.ts";
import { fwht as transform, fwhtThenSign, isHadamardOrder, signThenFwht } from "../kv-codec/hadamard.ts";
import { attr, defineOp, input } from "../op.ts";
import { randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { lastExtent } from "./rules.ts";

const rotations = { none: transform, before: signThenFwht, after: fwhtThenSign } as const;

export const fwht = defineOp({
  name: "fwht",
  doc:
    "Orthonormal Walsh-Hadamard transform of each row x [..., D], f32: D a power of two, or 12 or 20 times one. signs: the diagonal of KV codecs before it " +
    "(queries of a quantized cache) or after it (the output of attention over one), D up to 512. Bits are the same everywhere.",
  inputs: [input("x", "float")],
  attrs: { signs: attr.oneOf("none", "before", "after") },
  traits: { inPlace: ["x"] },
  infer: ({ x }, { signs }) => {
    const dim = lastExtent("fwht", "x", x);
    if (x.dtype !== "f32") throw new ShapeError("fwht", `x: expected f32, got ${showType(x)}`);
    if (typeof dim !== "number" || !isHadamardOrder(dim, signs !== "none"))
      throw new ShapeError(
        "fwht",
        `x: expected a last extent that is a power of two, or 12 or 20 times one${signs === "none" ? "" : ", up to 512"}, got ${showType(x)}`,
      );
    return x;
  },
  reference: ({ x }, { signs }, out) => {
    out.bytes.set(x.bytes);
    rotations[signs](new Float32Array(out.data.buffer, out.data.byteOffset, out.size), out.shape.at(-1));
  },
  samples: (rng) => [
    ...[1, 2, 4, 12, 20, 40, 64, 80, 96, 128, 192, 1024].map((n) => ({ inputs: { x: randomTensor(rng, "f32", [3, n]) } })),
    ...[8, 16, 24, 32, 48, 64, 80, 96, 128, 160, 256, 320, 384, 512].flatMap((n) =>
      (["before", "after"] as const).map((signs) => ({ inputs: { x: randomTensor(rng, "f32", [2, 5, n]) }, attrs: { signs } })),
    ),
    { inputs: { x: randomTensor(rng, "f32", [0, 8]) } },
    { inputs: { x: randomTensor(rng, "f32", [64]) }, attrs: { signs: "before" as const } },
  ],
});
