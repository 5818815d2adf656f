import { fileURLToPath } from "node:url";
import { hadamardMatrix, hadamardSigns, kvBits, kvCodec, kvCodecIds } from "@rlxjs/ir";
import { expect, test } from "vitest";

/** Lines of at most `width` columns. */
function wrapped(items: readonly string[], width = 130): string {
  const lines = [""];
  for (const item of items) {
    const line = lines.at(-1) ?? "";
    if (line.length + item.length + 2 > width) lines.push(item);
    else lines[lines.length - 1] = line === "" ? item : `${line}, ${item}`;
  }
  return lines.map((line) => `    ${line}`).join(",\n");
}
const array = (type: string, name: string, items: readonly string[]): string =>
  `constexpr ${type} ${name}[${items.length}] = {\n${wrapped(items)}};`;

/** Nine digits name an f32. */
function float(v: number): string {
  const text = String(Number(v.toPrecision(9)));
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

/** Rows of a Hadamard matrix, each as bits: column c negative iff bit 31 - c is set, so that shifting left brings columns to the sign bit. */
function matrix(order: number): string[] {
  const { entries } = hadamardMatrix(2 * order) ?? { entries: [] };
  return Array.from({ length: order }, (_, r) => {
    let row = 0;
    for (let c = 0; c < order; c++) if (entries[r * order + c] === -1) row += 2 ** (31 - c);
    return `0x${row.toString(16).padStart(8, "0")}u`;
  });
}

const codebooks = kvCodecIds.flatMap((id) =>
  kvBits.map((bits) => ({ name: `${id === "mlx-native-v1" ? "V1" : "V2"}_${bits}`, codec: kvCodec(id, bits, 256) })),
);

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
      Array.from(hadamardSigns(512), (b) => `0x${b.toString(16).padStart(2, "0")}`),
    ),
    "",
    "// Hadamard matrices, a row each: column c is negative where bit 31 - c is set.",
    array("uint32_t", "kMatrix12", matrix(12)),
    array("uint32_t", "kMatrix20", matrix(20)),
    ...codebooks.flatMap(({ name, codec }) => [
      "",
      array("float", `kCentroids${name}`, Array.from(codec.centroids, float)),
      array("float", `kBoundaries${name}`, Array.from(codec.boundaries, float)),
    ]),
    "",
    "struct Codebook {",
    "  int bits;",
    "  const float *centroids, *boundaries;",
    "};",
    "// By codec, then by bits.",
    `constexpr Codebook kCodebooks[${kvCodecIds.length}][${kvBits.length}] = {`,
    ...kvCodecIds.map((_, i) => {
      const row = codebooks.slice(i * kvBits.length, (i + 1) * kvBits.length);
      return `    {${row.map(({ name, codec }) => `{${codec.bits}, kCentroids${name}, kBoundaries${name}}`).join(", ")}},`;
    }),
    "};",
    "",
    "}  // namespace",
    "}  // namespace RLX_BASE",
    "}  // namespace rlx",
    "",
  ];
  await expect(lines.join("\n")).toMatchFileSnapshot(fileURLToPath(new URL("../../../native/cpu/kv_tables.h", import.meta.url)));
});
