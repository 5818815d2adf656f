import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../src/index.ts";

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
