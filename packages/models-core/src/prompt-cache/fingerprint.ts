import type { DeviceInfo, WeightStore } from "@rlxjs/runtime";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ModelConfig } from "../config/model-config.ts";
import type { KvFormats } from "../model/kv-formats.ts";
import { BlockDigest } from "./digest.ts";

/** What the rows of a KV cache depend on, apart from tokens. */
export interface FingerprintParts {
  readonly config: ModelConfig;
  readonly kvFormats: KvFormats;
  readonly device: DeviceInfo;
  readonly weights: WeightStore;
}

/** A text that differs where cache rows differ: config, cache formats, device and kernels; names, types and all bytes of the weights. */
export async function modelFingerprint({ config, kvFormats, device, weights }: FingerprintParts, signal?: AbortSignal): Promise<string> {
  const digest = new BlockDigest();
  const text = (value: unknown): Promise<void> => digest.update(new TextEncoder().encode(`${JSON.stringify(value, sorted)}\n`), signal);
  await text([config, kvFormats, device.device, device.kernelLibrary]);
  for (const name of [...weights.names].sort()) {
    const tensor = weights.get(name);
    if (!tensor) continue;
    await text([name, tensor.dtype, tensor.shape]);
    await digest.update(tensor.bytes, signal);
  }
  return `sha256:${bytesToHex(await digest.end())}`;
}

/** Equal settings give equal texts, in whatever order they were set. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return `${value}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
