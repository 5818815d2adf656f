import "@rlxjs/backend-cpu";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type GenerateOptions, type GenerationSummary, type KvCacheOption, type LanguageModel, PromptCache } from "@rlxjs/models-core";
import { loadModel, loadPromptCache, savePromptCache } from "@rlxjs/models-core/node";
import { afterAll, expect, test } from "vitest";

const demo = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));
const golden = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "rlxjs-prompts-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface Result {
  readonly ids: readonly number[];
  readonly reused: number;
}
async function run(model: LanguageModel, prompt: readonly number[], options: GenerateOptions = {}): Promise<Result> {
  const ids: number[] = [];
  for await (const piece of model.generate(prompt, { maxTokens: 12, stopTokens: [], ...options })) {
    ids.push(...piece.ids);
    if (piece.summary) return { ids, reused: (piece.summary satisfies GenerationSummary).reusedTokens };
  }
  throw new Error("no summary");
}
const tokens = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => 3 + ((i * 37 + seed * 101) % 300));
/** Prompts that are nobody's beginning, to take the sequences that a model keeps for itself. */
async function distract(model: LanguageModel): Promise<void> {
  for (const seed of [901, 902]) await run(model, [seed, ...tokens(4, seed)], { maxTokens: 1 });
}

test.each<KvCacheOption>(["f32", "f16", "tq4", { k: "q8_0", v: "tq6" }])("%j: a text is the same from the cache", async (kvCache) => {
  using plain = await loadModel(demo, { kvCache });
  using model = await loadModel(demo, { kvCache, promptCache: {} });
  const [system, other] = [tokens(60, 1), tokens(9, 2)];
  const cases: [readonly number[], GenerateOptions, number][] = [
    [system, {}, 0],
    [system, {}, 60],
    [[...system, ...other], {}, 60],
    [[...system, ...other], { temperature: 0.9, seed: 4 }, 69],
    [[...system, ...other, 5], { repetitionPenalty: 1.2 }, 69],
    [system.slice(0, 40), {}, 0],
    [other, { maxTokens: 1 }, 0],
  ];
  for (const [prompt, options, reused] of cases) {
    await distract(model);
    const expected = await run(plain, prompt, options);
    expect(await run(model, prompt, options)).toEqual({ ids: expected.ids, reused });
  }
  expect(model.promptCache?.stats()).toMatchObject({ entries: 7, evictions: 0 });
});

test("guessed tokens over q8_0 caches are those of decoding one by one, from the cache and drawn too", async () => {
  using plain = await loadModel(demo, { kvCache: "q8_0" });
  using model = await loadModel(demo, { kvCache: "q8_0", promptCache: {} });
  const prompt = model.encode("Once upon a time, there was a small owl. The small owl");
  const speculative = { draft: "prompt-lookup", tokens: 5 } as const;
  const cases: GenerateOptions[] = [{ maxTokens: 60 }, { maxTokens: 60, temperature: 0.7, seed: 9 }];
  for (const [i, options] of cases.entries()) {
    const expected = await run(plain, prompt, options);
    for (const reused of i === 0 ? [0, prompt.length] : [prompt.length]) {
      await distract(model);
      expect(await run(model, prompt, { ...options, speculative })).toEqual({ ids: expected.ids, reused });
    }
  }
});

test("a prompt that is stored whole is not run at all", async () => {
  using model = await loadModel(demo, { promptCache: { maxBytes: 2 ** 24 } });
  const first = await run(model, tokens(50, 3));
  await distract(model);
  const before = model.stats().runs;
  expect((await run(model, tokens(50, 3), { maxTokens: 1 })).ids).toEqual(first.ids.slice(0, 1));
  expect(model.stats().runs).toBe(before);
  expect(model.promptCache?.stats()).toMatchObject({ hits: 1, misses: 3, maxBytes: 2 ** 24 });
});

test("runs that were aborted, failed or left stay out", async () => {
  using model = await loadModel(demo, { promptCache: {} });
  const prompt = tokens(400, 5);
  await expect(run(model, prompt, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  await expect(run(model, prompt, { signal: AbortSignal.timeout(1) })).rejects.toThrow();
  const controller = new AbortController();
  const late = (async () => {
    for await (const _ of model.generate(prompt, { signal: controller.signal })) controller.abort(new Error("late"));
  })();
  await expect(late).rejects.toThrow("late");
  for await (const _ of model.generate(prompt)) break;
  await expect(run(model, [1, 99_999])).rejects.toThrow("token 1");
  expect(model.promptCache?.stats()).toMatchObject({ entries: 0, hits: 0 });
});

test("what does not fit is left out", async () => {
  using model = await loadModel(demo, { promptCache: { maxBytes: 10_000 } });
  await run(model, tokens(300, 1));
  expect(model.promptCache?.stats()).toMatchObject({ entries: 0, bytes: 0 });
});

test("models of one fingerprint share a cache, others are refused", async () => {
  const promptCache = new PromptCache();
  using a = await loadModel(demo, { promptCache, contextLength: 128 });
  using b = await loadModel(demo, { promptCache, contextLength: 256, threads: 1 });
  const expected = await run(a, tokens(30, 7));
  expect(await run(b, tokens(30, 7))).toEqual({ ids: expected.ids, reused: 30 });
  await expect(loadModel(demo, { promptCache, kvCache: "f32" })).rejects.toThrow("expected the entries of the model");
  await expect(loadModel(demo, { promptCache, kernels: "reference" })).rejects.toThrow("expected the entries of the model");
  await expect(loadModel(`${golden}llama-gqa`, { promptCache })).rejects.toThrow("expected the entries of the model");
});

test("a model in which one byte of a weight is another one is another model", async () => {
  const changed = join(directory, "changed.gguf");
  const bytes = readFileSync(demo);
  const at = bytes.byteLength - 12_345;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(changed, bytes);
  const promptCache = new PromptCache();
  using model = await loadModel(demo, { promptCache });
  expect(await model.fingerprint()).toBe(promptCache.fingerprint);
  await expect(loadModel(changed, { promptCache })).rejects.toThrow("expected the entries of the model");
});

test("reading all weights can be aborted, and tried again", async () => {
  using model = await loadModel(demo);
  await expect(model.fingerprint(AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
  expect(await model.fingerprint()).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("a cache outlives the process, as a file", async () => {
  const path = join(directory, "prompts.bin");
  const prompt = tokens(80, 11);
  using model = await loadModel(demo, { promptCache: {} });
  const expected = await run(model, prompt);
  if (!model.promptCache) throw new Error("no cache");
  await savePromptCache(path, model.promptCache);
  using later = await loadModel(demo, { promptCache: await loadPromptCache(path, { fingerprint: await model.fingerprint() }) });
  expect(await run(later, prompt)).toEqual({ ids: expected.ids, reused: 80 });
  await expect(loadPromptCache(path, { fingerprint: "sha256:other" })).rejects.toThrow("expected the entries of the model");
  await expect(loadPromptCache(join(directory, "none"))).rejects.toThrow("expected a file");
});

test("an entry that is not the model's own is an error, and the model goes on working", async () => {
  const promptCache = new PromptCache();
  using model = await loadModel(demo, { promptCache });
  const prompt = tokens(20, 13);
  const expected = await run(model, prompt);
  const [entry] = promptCache.entries;
  if (!entry) throw new Error("no entry");
  await distract(model);
  const { snapshot, logits } = entry;
  promptCache.insert({ snapshot, logits: logits.slice(1) });
  await expect(run(model, prompt)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[PromptCacheError: prompt cache: entry: expected logits of 1024 tokens, got 1023]`,
  );
  promptCache.insert({ snapshot: { ...snapshot, rows: new Map() }, logits });
  await expect(run(model, prompt)).rejects.toThrow('snapshot: state "past_k_0"');
  promptCache.clear();
  expect(await run(model, prompt)).toEqual({ ids: expected.ids, reused: 0 });
});
