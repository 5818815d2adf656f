import { Tensor } from "@rlxjs/ir";
import type { PromptEntry } from "../../src/prompt-cache/prompt-cache.ts";

/** An entry of these tokens with one row of `width` bytes per token, of which `mark` is every byte. */
export function entryOf(tokens: readonly number[], { width = 8, mark = 0 }: { width?: number; mark?: number } = {}): PromptEntry {
  const rows = new Tensor("u8", [1, tokens.length, width], new Uint8Array(tokens.length * width).fill(mark));
  return {
    snapshot: { tokens, rows: new Map([["past_k_0", rows]]), bytes: rows.bytes.byteLength },
    logits: Float32Array.of(mark, 0),
  };
}
