import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ByteSink, type ByteSource, type JsonObject, memorySource } from "../src/index.ts";

/** Path of a file or directory under test/fixtures. */
export const path = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
export const fixture = (name: string): Buffer => readFileSync(path(name));
export const json = (name: string): JsonObject => JSON.parse(fixture(name).toString());

export const goldenModels = [
  "bert-encoder",
  "gemma3-text",
  "llama-gqa",
  "llama-tied-mha",
  "mistral-swa",
  "qwen3-moe",
  "qwen3-qknorm",
] as const;

/** Everything that a writer writes. */
export async function collect(write: (sink: ByteSink) => Promise<unknown>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  await write({
    async write(bytes) {
      pieces.push(bytes.slice());
    },
  });
  return Uint8Array.from(Buffer.concat(pieces));
}

/** A source that can only be read, and what has been read from it. */
export function reads(bytes: Uint8Array<ArrayBuffer>): { readonly source: ByteSource; readonly ranges: [number, number][] } {
  const ranges: [number, number][] = [];
  const memory = memorySource("memory", bytes);
  const source: ByteSource = {
    name: memory.name,
    size: memory.size,
    read(offset, length) {
      ranges.push([offset, offset + length]);
      return memory.read(offset, length);
    },
    [Symbol.dispose]() {},
  };
  return { source, ranges };
}
