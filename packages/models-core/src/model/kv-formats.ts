import {
  AttrError,
  isKvFormatName,
  type KvFormat,
  type KvFormatName,
  kvFormatBytes,
  kvFormatNames,
  kvFormats,
  parseKvFormat,
} from "@rlxjs/ir";
import type { ModelConfig } from "../config/model-config.ts";
import { KvCacheError } from "../errors.ts";

/** How keys and values are kept: one format for both, or one for each. `tqN` is short for `lloyd-max-v2:N`. */
export type KvCacheOption = KvFormatName | { readonly k?: KvFormatName; readonly v?: KvFormatName };

/** The formats of a model's cache. */
export interface KvFormats {
  readonly k: KvFormat;
  readonly v: KvFormat;
}

const fallback = "f16" satisfies KvFormat;

/**
 * The formats that an option names; what it leaves out is f16.
 * @throws KvCacheError for a text that names no format.
 */
export function kvFormatsOf(option: KvCacheOption = fallback): KvFormats {
  const parse = (where: string, text: unknown): KvFormat => {
    if (typeof text === "string" && isKvFormatName(text)) return parseKvFormat(text);
    throw new KvCacheError(where, `one of ${kvFormatNames.join(", ")}`, String(text));
  };
  if (typeof option !== "object" || option === null) {
    const both = parse("kvCache", option);
    return { k: both, v: both };
  }
  const { k = fallback, v = fallback } = option;
  return { k: parse("kvCache.k", k), v: parse("kvCache.v", v) };
}

const takes = (format: KvFormat, headDim: number): boolean => {
  try {
    return kvFormatBytes(format, headDim) > 0;
  } catch (error) {
    if (error instanceof AttrError) return false;
    throw error;
  }
};

/**
 * Bytes that the cache takes per token: one vector of keys and one of values for each KV head of each layer.
 * @throws KvCacheError for a format that does not take the head dim of the model's layers.
 */
export function kvBytesPerToken({ k, v }: KvFormats, { headDim, numKvHeads, numLayers }: ModelConfig): number {
  for (const [name, format] of Object.entries({ k, v }))
    if (!takes(format, headDim))
      throw new KvCacheError(
        `kvCache.${name}`,
        `a format for the model's head dim ${headDim} (${kvFormats.filter((f) => takes(f, headDim)).join(", ")})`,
        `${format}, which does not take it`,
      );
  return numLayers * numKvHeads * (kvFormatBytes(k, headDim) + kvFormatBytes(v, headDim));
}
