import "../backends.ts";
import type { GenerationSummary } from "@rlxjs/models-core";
import { type DeviceFlags, type KvCacheFlags, kvCacheOption } from "../flags.ts";
import { onInterrupt } from "../interrupt.ts";
import { load } from "../load.ts";

export interface RunFlags extends DeviceFlags, KvCacheFlags {
  readonly prompt: string;
  readonly tokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly speculative?: number;
  readonly json?: boolean;
}

/** `rlxjs run`: the prompt and its continuation on stdout, as it is generated; speed on stderr. */
export async function run(path: string | undefined, flags: RunFlags): Promise<void> {
  const signal = onInterrupt();
  const { prompt, tokens, temperature, topK, topP, minP, seed, json } = flags;
  const speculative = flags.speculative === undefined ? undefined : { draft: "prompt-lookup", tokens: flags.speculative };
  const { loadMs, compileMs, ...loaded } = await load(path, flags, { signal, kvCache: kvCacheOption(flags, "f16") });
  using model = loaded.model;
  const options = Object.fromEntries(
    Object.entries({ maxTokens: tokens, temperature, topK, topP, minP, seed, speculative }).filter(([, value]) => value !== undefined),
  );
  let text = "";
  const ids: number[] = [];
  let summary: GenerationSummary | undefined;
  try {
    for await (const piece of model.generate(prompt, { ...options, signal })) {
      // The prompt is echoed once it is known to be acceptable.
      if (!json) process.stdout.write(text === "" && ids.length === 0 ? prompt + piece.text : piece.text);
      text += piece.text;
      ids.push(...piece.ids);
      summary = piece.summary;
    }
  } finally {
    if (!json && (summary || ids.length > 0)) process.stdout.write("\n");
  }
  if (!summary) return;
  const speeds = speedOf(summary);
  if (json) {
    const { kvCache, device } = model;
    const result = { model: loaded.path, device: device.description, kvCache, prompt, text, ids, loadMs, compileMs, ...summary, ...speeds };
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } else {
    const { promptTokens, generatedTokens, speculation } = summary;
    const prefill = `prompt ${promptTokens} tokens at ${speeds.prefillTokensPerSecond.toFixed(0)}/s`;
    const decode = `${generatedTokens} tokens at ${speeds.decodeTokensPerSecond.toFixed(0)}/s`;
    const guesses = speculation ? `, ${speculation.accepted} of ${speculation.proposed} guesses right` : "";
    process.stderr.write(`[load ${loadMs.toFixed(0)} ms, compile ${compileMs.toFixed(0)} ms, ${prefill}, ${decode}${guesses}]\n`);
  }
}

/** Tokens per second; the first generated token belongs to the prefill. */
export function speedOf({ promptTokens, reusedTokens, generatedTokens, prefillMs, decodeMs }: GenerationSummary): {
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
} {
  const rate = (tokens: number, ms: number): number => (ms > 0 ? (tokens * 1000) / ms : 0);
  return {
    prefillTokensPerSecond: rate(promptTokens - reusedTokens, prefillMs),
    decodeTokensPerSecond: rate(Math.max(0, generatedTokens - 1), decodeMs),
  };
}
