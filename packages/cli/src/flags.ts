import { fileURLToPath } from "node:url";
import { InvalidArgumentError, Option } from "commander";
import type { Device } from "@rlxjs/runtime";
import { isKvFormatName, type KvFormatName, kvFormatNames } from "@rlxjs/ir";
import type { KvCacheOption } from "@rlxjs/models-core";

/** Written into the repository by `rlxjs convert`. */
export const demoModel: string = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));

/** Flags of every command that opens a device. */
export interface DeviceFlags {
  readonly device: Device;
  readonly kernels?: "native" | "reference";
  readonly threads?: number;
  readonly programCache?: string;
}

/** Flags of every command that runs a decoder. */
export interface KvCacheFlags {
  readonly kvCache?: KvFormatName;
  readonly kvCacheK?: KvFormatName;
  readonly kvCacheV?: KvFormatName;
}

/** What the flags say; `fallback` where they say nothing. */
export function kvCacheOption({ kvCache, kvCacheK, kvCacheV }: KvCacheFlags, fallback: KvFormatName): KvCacheOption {
  const both = kvCache ?? fallback;
  return { k: kvCacheK ?? both, v: kvCacheV ?? both };
}

function kvFormat(text: string): KvFormatName {
  if (isKvFormatName(text)) return text;
  throw new InvalidArgumentError(`expected one of ${kvFormatNames.join(", ")}, got ${text}`);
}

export const kvCacheOptions = (fallback: KvFormatName): Option[] => [
  new Option(
    "--kv-cache <format>",
    `how keys and values are kept: f32, f16, bf16, q8_0, tq8, tq6, tq5, tq4 (default: ${fallback})`,
  ).argParser(kvFormat),
  new Option("--kv-cache-k <format>", "the same for keys alone").argParser(kvFormat),
  new Option("--kv-cache-v <format>", "the same for values alone").argParser(kvFormat),
];

export function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min)
      throw new InvalidArgumentError(`expected an integer >= ${min}, got "${text}"`);
    return value;
  };
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError(`expected a number, got "${text}"`);
  return value;
}

export const deviceOptions = (): Option[] => [
  new Option("--device <device>", "where to run, see `rlxjs devices`").default("cpu"),
  new Option("--kernels <kernels>", "native code, or the slow TypeScript references").choices(["native", "reference"]),
  new Option("--threads <n>", "compute threads (default: cores - 1)").argParser(integer(1)),
  new Option("--program-cache <directory>", "keep compiled graphs there, and take them from there the next time"),
];
