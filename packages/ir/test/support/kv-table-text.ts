import { hadamardMatrix, kvBits, kvCodec, kvCodecIds } from "@rlxjs/ir";

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

/** An array of constants in C++ or in the Metal language; `type` with its storage class. */
export const arrayText = (type: string, name: string, items: readonly string[]): string =>
  `${type} ${name}[${items.length}] = {\n${wrapped(items)}};`;

/** Nine digits name an f32. */
export function floatText(v: number): string {
  const text = String(Number(v.toPrecision(9)));
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

export const hexText = (v: number, digits: number): string => `0x${v.toString(16).padStart(digits, "0")}`;

/** Rows of a Hadamard matrix, each as bits: column c negative iff bit 31 - c is set, so that shifting left brings columns to the sign bit. */
export function matrixText(order: number): string[] {
  const { entries } = hadamardMatrix(2 * order) ?? { entries: [] };
  return Array.from({ length: order }, (_, r) => {
    let row = 0;
    for (let c = 0; c < order; c++) if (entries[r * order + c] === -1) row += 2 ** (31 - c);
    return `${hexText(row, 8)}u`;
  });
}

/** Every codec's tables, by codec, then by bits; `suffix`: of their names. */
export const codebooks = kvCodecIds.map((id) =>
  kvBits.map((bits) => ({ suffix: `${id === "mlx-native-v1" ? "V1" : "V2"}_${bits}`, codec: kvCodec(id, bits, 256) })),
);
