import { byteLength } from "../dtype.ts";
import { AttrError } from "../errors.ts";
import { type KvBits, type KvCodec, type KvCodecId, kvBits, kvCodec, kvCodecIds } from "./codec.ts";

/** A codec and its bits as one word, as attributes of ops have it: `"lloyd-max-v2:4"`. */
export type KvCodecName = `${KvCodecId}:${KvBits}`;
/** How a KV cache keeps its vectors: as floats, in blocks of 32 int8 values with an f16 scale each (`q8_0`), or by a codec. */
export type KvFormat = "f32" | "f16" | "bf16" | "q8_0" | KvCodecName;

export const kvCodecNames: readonly KvCodecName[] = kvCodecIds.flatMap((id) => kvBits.map((bits): KvCodecName => `${id}:${bits}`));
export const kvFormats: readonly KvFormat[] = ["f32", "f16", "bf16", "q8_0", ...kvCodecNames];
/** A codec by name as kernels take it: 16 times the place of its id, plus its bits; 0 for no codec. */
export function kvCodecNumber(name: string | undefined): number {
  for (const [id, codec] of kvCodecIds.entries()) for (const bits of kvBits) if (name === `${codec}:${bits}`) return 16 * id + bits;
  return 0;
}

/** Short names of the codecs that are meant for new caches. */
const short = {
  tq8: "lloyd-max-v2:8",
  tq6: "lloyd-max-v2:6",
  tq5: "lloyd-max-v2:5",
  tq4: "lloyd-max-v2:4",
} as const satisfies Record<string, KvFormat>;

/** A format by its own name or by its short one. */
export type KvFormatName = KvFormat | keyof typeof short;
export const kvFormatNames: readonly KvFormatName[] = [...kvFormats, ...(Object.keys(short) as (keyof typeof short)[])];
export const isKvFormatName = (text: string): text is KvFormatName => kvFormatNames.some((name) => name === text);

/**
 * The format that a text names: one of `kvFormats`, or `tq8`, `tq6`, `tq5`, `tq4` for lloyd-max-v2 at so many bits.
 * @throws AttrError for any other text.
 */
export function parseKvFormat(text: string): KvFormat {
  if (!isKvFormatName(text)) throw new AttrError("kv_format", `format: expected one of ${kvFormatNames.join(", ")}, got ${text}`);
  return text in short ? short[text as keyof typeof short] : (text as KvFormat);
}

/**
 * The codec that an attribute `name` of an op names, for vectors of headDim values.
 * @throws AttrError for another text, or a headDim that the codec does not take.
 */
export function kvCodecNamed(op: string, name: string, text: string, headDim: number): KvCodec {
  for (const id of kvCodecIds) for (const bits of kvBits) if (text === `${id}:${bits}`) return kvCodec(id, bits, headDim, op);
  throw new AttrError(op, `${name}: expected one of ${kvCodecNames.join(", ")}, got ${text}`);
}

/** The codec of a format, or `undefined` for the formats that are dtypes. */
export function kvFormatCodec(format: KvFormat, headDim: number): KvCodec | undefined {
  return isDTypeFormat(format) ? undefined : kvCodecNamed("kv_format", "format", format, headDim);
}

const isDTypeFormat = (format: KvFormat): format is Exclude<KvFormat, KvCodecName> => !kvCodecNames.some((name) => name === format);

/**
 * Bytes of one vector (one head of one token, K or V) of headDim values; q8_0 fills up to whole blocks of 32.
 * @throws AttrError for a headDim that is no natural number or that the codec does not take.
 */
export function kvFormatBytes(format: KvFormat, headDim: number): number {
  if (!Number.isSafeInteger(headDim) || headDim < 1)
    throw new AttrError("kv_format", `headDim: expected an integer of at least 1, got ${headDim}`);
  if (!isDTypeFormat(format)) return kvCodecNamed("kv_format", "format", format, headDim).vectorBytes;
  return byteLength(format, [format === "q8_0" ? 32 * Math.ceil(headDim / 32) : headDim]);
}
