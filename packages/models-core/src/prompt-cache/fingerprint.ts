import type { Tensor } from "@rlxjs/ir";
import type { DeviceInfo, WeightStore } from "@rlxjs/runtime";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ModelConfig } from "../config/model-config.ts";
import type { KvFormats } from "../model/kv-formats.ts";

/** What the rows of a KV cache depend on, apart from tokens. */
export interface FingerprintParts {
  readonly config: ModelConfig;
  readonly kvFormats: KvFormats;
  readonly device: DeviceInfo;
  readonly weights: WeightStore;
}

/** Of every weight, so many blocks of so many bytes are hashed, from its first to its last byte. */
const blocks = 16;
const blockBytes = 256;

/**
 * A text that differs where cache rows differ: config, cache formats, device and kernels, names and types of all weights, and a sample of their
 * bytes. A sample, because hashing gigabytes takes longer than the prompts that it would save.
 */
export function modelFingerprint({ config, kvFormats, device, weights }: FingerprintParts): string {
  const hash = sha256.create();
  const text = (value: unknown): void => void hash.update(new TextEncoder().encode(`${JSON.stringify(value, sorted)}\n`));
  text([config, kvFormats, device.device, device.kernelLibrary]);
  for (const name of [...weights.names].sort()) {
    const tensor = weights.get(name);
    if (!tensor) continue;
    text([name, tensor.dtype, tensor.shape]);
    for (const block of sample(tensor)) hash.update(block);
  }
  return `sha256:${bytesToHex(hash.digest())}`;
}

function* sample({ bytes }: Tensor): Generator<Uint8Array> {
  if (bytes.byteLength <= blocks * blockBytes) return yield bytes;
  for (let i = 0; i < blocks; i++) {
    const at = Math.floor(((bytes.byteLength - blockBytes) * i) / (blocks - 1));
    yield bytes.subarray(at, at + blockBytes);
  }
}

/** Equal settings give equal texts, in whatever order they were set. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) return `${value}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
