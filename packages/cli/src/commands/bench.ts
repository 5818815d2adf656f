import { createNativeBackend, loadAddon } from "@rlxjs/backend-cpu";
import type { LanguageModel } from "@rlxjs/models-core";
import { openModel } from "@rlxjs/models-core/node";
import { type DeviceFlags, type KvCacheFlags, kvCacheOption } from "../flags.ts";
import { graphOf, programOf } from "../graphs.ts";
import { onInterrupt } from "../interrupt.ts";
import { load } from "../load.ts";
import { weightBytesRead } from "../weight-bytes.ts";
import { speedOf } from "./run.ts";

export interface BenchFlags extends DeviceFlags, KvCacheFlags {
  readonly prompt: number;
  readonly gen: number;
  readonly rounds: number;
  readonly json?: boolean;
}

/** Read in one go to measure bandwidth: larger than caches. */
const bandwidthBytes = 2 ** 28;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/** `rlxjs bench`: the median of several rounds, each with a prompt of its own so that nothing is reused. */
export async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const signal = onInterrupt();
  const kvCache = kvCacheOption(flags, "f16");
  const { loadMs, compileMs, ...loaded } = await load(path, flags, { signal, contextLength: flags.prompt + flags.gen, kvCache });
  using model = loaded.model;
  await round(model, flags, 0, signal); // first touch of memory
  const rounds = [];
  for (let i = 1; i <= flags.rounds; i++) rounds.push(await round(model, flags, i, signal));
  // Before the measurement of bandwidth, which needs memory of its own.
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  const decodeTokensPerSecond = median(rounds.map((r) => r.decodeTokensPerSecond));
  using opened = await openModel(loaded.path);
  const weightBytesPerToken = weightBytesRead(await programOf(graphOf(opened), flags));
  const bandwidth = measureBandwidth(model.device.threads);
  const result = {
    model: loaded.path,
    device: model.device.description,
    threads: model.device.threads,
    promptTokens: flags.prompt,
    generatedTokens: flags.gen,
    rounds: flags.rounds,
    loadMs,
    compileMs,
    prefillTokensPerSecond: median(rounds.map((r) => r.prefillTokensPerSecond)),
    decodeTokensPerSecond,
    peakRssBytes,
    weightBytesPerToken,
    kvCacheK: model.kvCache?.k ?? null,
    kvCacheV: model.kvCache?.v ?? null,
    kvCacheBytesPerToken: model.kvCache?.bytesPerToken ?? null,
    readBandwidth: bandwidth,
    bandwidthShare: bandwidth && (weightBytesPerToken * decodeTokensPerSecond) / bandwidth,
  };
  process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : table(result));
}

async function round(model: LanguageModel, { prompt, gen }: BenchFlags, index: number, signal: AbortSignal) {
  const ids = Array.from({ length: prompt }, (_, i) => ((i + index) * 7919 + 13) % model.config.vocabSize);
  for await (const { summary } of model.generate(ids, { maxTokens: gen, stopTokens: [], temperature: 0, signal }))
    if (summary) return speedOf(summary);
  throw new Error("the generation ended without a summary");
}

/** Bytes per second that this many threads read from memory; null without native code. */
function measureBandwidth(threads: number): number | null {
  const { addon } = loadAddon();
  if (!addon) return null;
  using backend = createNativeBackend(addon, { threads });
  return backend.measureBandwidth(bandwidthBytes);
}

function table(r: Readonly<Record<string, string | number | null>>): string {
  const mb = (n: unknown): string => `${(Number(n) / 1e6).toFixed(1)} MB`;
  const number = (n: unknown): string => Number(n).toFixed(1);
  const rows: [string, string][] = [
    ["model", String(r.model)],
    ["device", String(r.device)],
    ["load", `${number(r.loadMs)} ms`],
    ["compile", `${number(r.compileMs)} ms`],
    [`prefill of ${r.promptTokens}`, `${number(r.prefillTokensPerSecond)} tokens/s`],
    [`decode of ${r.generatedTokens}`, `${number(r.decodeTokensPerSecond)} tokens/s`],
    ["peak memory (RSS)", mb(r.peakRssBytes)],
    ["weights per token", mb(r.weightBytesPerToken)],
    [
      "KV cache",
      `${r.kvCacheK === r.kvCacheV ? r.kvCacheK : `${r.kvCacheK} and ${r.kvCacheV}`}, ${r.kvCacheBytesPerToken} bytes per token`,
    ],
  ];
  if (r.readBandwidth !== null) {
    rows.push(["read bandwidth", `${(Number(r.readBandwidth) / 1e9).toFixed(1)} GB/s`]);
    // Weights that stay in the processor's caches are read faster than memory.
    rows.push(["share of it used", `${(100 * Number(r.bandwidthShare)).toFixed(0)} % (weights that fit in caches may exceed 100 %)`]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}
