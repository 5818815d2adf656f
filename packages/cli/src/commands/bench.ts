import "../backends.ts";
import type { LanguageModel } from "@rlxjs/models-core";
import { openModel } from "@rlxjs/models-core/node";
import { type GpuCounts, gpuCountsSince } from "@rlxjs/runtime";
import { measureBandwidth } from "../bandwidth.ts";
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
  const gpu = rounds.flatMap((r) => (r.gpu ? [r.gpu] : []));
  const perToken = (key: keyof GpuCounts): number | null =>
    gpu.length === 0 ? null : median(gpu.map((counts) => counts[key])) / (flags.gen - 1);
  using opened = await openModel(loaded.path);
  const weightBytesPerToken = weightBytesRead(await programOf(graphOf(opened), flags));
  const bandwidth = await measureBandwidth(model.device);
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
    gpuMicrosPerToken: perToken("gpuMicros"),
    launchesPerToken: perToken("launches"),
    barriersPerToken: perToken("barriers"),
    commandBuffersPerToken: perToken("commandBuffers"),
    copiedBytesPerToken: perToken("copiedBytes"),
  };
  process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : table(result));
}

async function round(model: LanguageModel, { prompt, gen }: BenchFlags, index: number, signal: AbortSignal) {
  const ids = Array.from({ length: prompt }, (_, i) => ((i + index) * 7919 + 13) % model.config.vocabSize);
  let prefilled: GpuCounts | undefined;
  for await (const { summary } of model.generate(ids, { maxTokens: gen, stopTokens: [], temperature: 0, signal })) {
    const { gpu } = model.stats();
    // The first token is the prefill's.
    prefilled ??= gpu;
    if (summary) return { ...speedOf(summary), gpu: gpu && gpuCountsSince(gpu, prefilled) };
  }
  throw new Error("the generation ended without a summary");
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
  if (r.launchesPerToken !== null) {
    rows.push(["GPU time per token", `${(Number(r.gpuMicrosPerToken) / 1000).toFixed(2)} ms`]);
    const each = [r.launchesPerToken, r.barriersPerToken, r.commandBuffersPerToken].map(number);
    rows.push([
      "per token",
      `${each[0]} launches, ${each[1]} barriers, ${each[2]} command buffers, ${number(r.copiedBytesPerToken)} bytes copied`,
    ]);
  }
  if (r.readBandwidth !== null) {
    rows.push(["bandwidth", `${(Number(r.readBandwidth) / 1e9).toFixed(1)} GB/s`]);
    // Weights that stay in the processor's caches are read faster than memory.
    rows.push(["share of it used", `${(100 * Number(r.bandwidthShare)).toFixed(0)} % (weights that fit in caches may exceed 100 %)`]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}
