import type { KvNameRow } from "./docs.ts";
import { fwhtSpecs, kvDequantizeSpecs, kvQuantizeSpecs } from "./quantize-table.ts";

const bitsText = (bits: readonly number[]): string => `${bits.join(", ")} bits`;

/** Every named quantizer, decoder and rotation, from the tables that they are made of. */
export const kvQuantizeRows: readonly KvNameRow[] = [
  ...Object.entries(kvQuantizeSpecs).map(([name, { reference, range, bits, dual }]) => ({
    reference,
    name,
    op: `${dual ? "kv_quantize_pair" : "kv_quantize"} {layout: "head", ring: isSliding}`,
    what: `${dual ? "K and V, each " : ""}[${range ? "nSrcTokens, " : ""}numKvHeads, headDim], ${bitsText(bits)}`,
  })),
  ...Object.entries(kvDequantizeSpecs).map(([name, { reference, bits }]) => ({
    reference,
    name,
    op: 'kv_dequantize {layout: "head"}',
    what: `rotated f32 [nTokens, numKvHeads, headDim], ${bitsText(bits)}`,
  })),
  ...Object.entries(fwhtSpecs).map(([name, { reference, signs }]) => ({
    reference,
    name,
    op: `fwht {signs: "${signs}"}`,
    what: "[numHeads, headDim], f32",
  })),
];
