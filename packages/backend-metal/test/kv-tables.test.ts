import { fileURLToPath } from "node:url";
import { hadamardSigns, kvBits } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { arrayText, codebooks, floatText, hexText, matrixText } from "../../ir/test/support/kv-table-text.ts";

const array = (type: string, name: string, items: readonly string[]): string => arrayText(`constant ${type}`, name, items);
const signs = hadamardSigns(512);
const words = Array.from(new Uint32Array(signs.buffer, signs.byteOffset, signs.byteLength / 4), (word) => `${hexText(word, 8)}u`);

/** A table by the number of its codec, 16 times the codec's place plus bits, which is a function constant. */
const table = (name: string, prefix: string): string[] => [
  `inline constant float *${name}(uint codec) {`,
  "  switch (codec) {",
  ...codebooks.flatMap((row, id) =>
    row.map(({ suffix, codec }, i) => {
      const last = id === codebooks.length - 1 && i === kvBits.length - 1;
      return `    ${last ? "default" : `case ${16 * id + codec.bits}`}: return ${prefix}_${suffix};`;
    }),
  ),
  "  }",
  "}",
];

test("tables of the shaders", async () => {
  const lines = [
    "// Tables of packages/ir/src/kv-codec. Written by packages/backend-metal/test/kv-tables.test.ts (vitest -u), which also holds them to their source.",
    "#pragma once",
    "#include <metal_stdlib>",
    "using namespace metal;",
    "",
    "// The sign diagonal, bit j of word i for element 32 * i + j.",
    array("uint", "SIGN_WORDS", words),
    "",
    "// Hadamard matrices, a row each: column c is negative where bit 31 - c is set.",
    array("uint", "MATRIX_12", matrixText(12)),
    array("uint", "MATRIX_20", matrixText(20)),
    ...codebooks
      .flat()
      .flatMap(({ suffix, codec }) => [
        "",
        array("float", `CENTROIDS_${suffix}`, Array.from(codec.centroids, floatText)),
        array("float", `BOUNDARIES_${suffix}`, Array.from(codec.boundaries, floatText)),
      ]),
    "",
    "// By codec: 16 times its place, plus its bits.",
    ...table("centroids_of", "CENTROIDS"),
    ...table("boundaries_of", "BOUNDARIES"),
    "",
  ];
  await expect(lines.join("\n")).toMatchFileSnapshot(fileURLToPath(new URL("../../../shaders/kv_tables.h", import.meta.url)));
});
