import { fileURLToPath } from "node:url";
import { hadamardSigns, kvBits, kvCodecIds } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { arrayText, codebooks, floatText, hexText, matrixText } from "../../ir/test/support/kv-table-text.ts";

const array = (type: string, name: string, items: readonly string[]): string => arrayText(`constexpr ${type}`, name, items);

test("tables of the kernels", async () => {
  const lines = [
    "// Tables of packages/ir/src/kv-codec. Written by packages/backend-cpu/test/kv-tables.test.ts (vitest -u), which also holds them to their source.",
    "#pragma once",
    "#include <stdint.h>",
    "",
    "namespace rlx {",
    "namespace RLX_BASE {",
    "namespace {",
    "",
    "// The sign diagonal, bit j of byte i for element 8 * i + j.",
    array(
      "uint8_t",
      "kSignBytes",
      Array.from(hadamardSigns(512), (b) => hexText(b, 2)),
    ),
    "",
    "// Hadamard matrices, a row each: column c is negative where bit 31 - c is set.",
    array("uint32_t", "kMatrix12", matrixText(12)),
    array("uint32_t", "kMatrix20", matrixText(20)),
    ...codebooks
      .flat()
      .flatMap(({ suffix, codec }) => [
        "",
        array("float", `kCentroids${suffix}`, Array.from(codec.centroids, floatText)),
        array("float", `kBoundaries${suffix}`, Array.from(codec.boundaries, floatText)),
      ]),
    "",
    "struct Codebook {",
    "  int bits;",
    "  const float *centroids, *boundaries;",
    "};",
    "// By codec, then by bits.",
    `constexpr Codebook kCodebooks[${kvCodecIds.length}][${kvBits.length}] = {`,
    ...codebooks.map(
      (row) => `    {${row.map(({ suffix, codec }) => `{${codec.bits}, kCentroids${suffix}, kBoundaries${suffix}}`).join(", ")}},`,
    ),
    "};",
    "",
    "}  // namespace",
    "}  // namespace RLX_BASE",
    "}  // namespace rlx",
    "",
  ];
  await expect(lines.join("\n")).toMatchFileSnapshot(fileURLToPath(new URL("../../../native/cpu/kv_tables.h", import.meta.url)));
});
