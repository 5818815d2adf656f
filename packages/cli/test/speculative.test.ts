import "@rlxjs/backend-cpu";
import { fileURLToPath } from "node:url";
import type { Drafter, GenerateOptions, GenerationSummary, LanguageModel } from "@rlxjs/models-core";
import { loadModel } from "@rlxjs/models-core/node";
import { describe, expect, test } from "vitest";
import { rlxjs } from "./cli.ts";
import { openGolden } from "./golden.ts";

const demo = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));
const golden = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
const decoders = ["llama-gqa", "llama-tied-mha", "qwen3-qknorm", "mistral-swa", "gemma3-text", "qwen3-moe"];

interface Result extends GenerationSummary {
  readonly ids: readonly number[];
  readonly text: string;
}
async function run(model: LanguageModel, prompt: string | readonly number[], options: GenerateOptions): Promise<Result> {
  const ids: number[] = [];
  let text = "";
  for await (const piece of model.generate(prompt, options)) {
    ids.push(...piece.ids);
    text += piece.text;
    if (piece.summary) return { ids, text, ...piece.summary };
  }
  throw new Error("no summary");
}
/** What counts: not how fast. */
const outcome = ({ ids, text, finishReason, promptTokens, generatedTokens }: Result) => ({
  ids,
  text,
  finishReason,
  promptTokens,
  generatedTokens,
});
const lookup = (tokens = 4): GenerateOptions => ({ speculative: { draft: "prompt-lookup", tokens } });
/** Guesses the continuation that is known, but every `wrong`-th token another one. */
const nearly = (prompt: readonly number[], known: readonly number[], wrong: number): Drafter => ({
  propose(tokens, most) {
    const from = tokens.length - prompt.length;
    const ids = known.slice(from, from + most);
    return { ids: ids.map((id, i) => ((from + i) % wrong === wrong - 1 ? (id + 1) % 50 : id)) };
  },
});

describe.each(decoders)("%s", (name) => {
  test("any draft gives the greedy ids of decoding one by one", async () => {
    using model = await loadModel(golden + name, { kvCache: "f32" });
    const read = await openGolden(golden + name);
    const [prompt, greedy] = [read("long_ids"), read("greedy_ids")];
    const options = { maxTokens: greedy.length, stopTokens: [] };
    for (const wrong of [2, 5, 1000]) {
      const result = await run(model, prompt, { ...options, speculative: { draft: nearly(prompt, greedy, wrong), tokens: 6 } });
      expect(result.ids).toEqual(greedy);
      expect(result.speculation?.accepted).toBeGreaterThan(0);
    }
    expect((await run(model, prompt, { ...options, ...lookup() })).ids).toEqual(greedy);
  });
});

describe("demo model", () => {
  const prompt = "Once upon a time, there was a small owl. The small owl";

  test("prompt lookup: same text, fewer runs", async () => {
    using model = await loadModel(demo);
    const plain = await run(model, prompt, { maxTokens: 300, stopTokens: [] });
    const before = model.stats().runs;
    const guessed = await run(model, prompt, { maxTokens: 300, stopTokens: [], ...lookup() });
    expect(outcome(guessed)).toEqual(outcome(plain));
    const { proposed = 0, accepted = 0, runs = 0 } = guessed.speculation ?? {};
    expect(accepted).toBeGreaterThan(0);
    expect(proposed).toBeGreaterThan(accepted);
    // Every run gives one token, and one more for every accepted one.
    expect(model.stats().runs - before).toBe(300 - accepted);
    expect(runs).toBeLessThanOrEqual(300 - accepted);
    expect(plain.speculation).toBeUndefined();
  });

  test("limits, stop strings, stop tokens and a full context end it at the same place", async () => {
    using model = await loadModel(demo, { contextLength: 96 });
    const cases: GenerateOptions[] = [{ maxTokens: 1 }, { maxTokens: 7 }, { stop: " owl" }, { stop: [".", "zzz"] }, {}, { stopTokens: [] }];
    for (const options of cases)
      for (const tokens of [1, 3, 8])
        expect(outcome(await run(model, prompt, { ...options, ...lookup(tokens) }))).toEqual(outcome(await run(model, prompt, options)));
  });

  test("one seed is one text, guessed or not", async () => {
    using model = await loadModel(demo);
    for (const seed of [1, 2, 3]) {
      const options = { temperature: 0.8, topP: 0.95, repetitionPenalty: 1.05, seed, maxTokens: 80 };
      expect(outcome(await run(model, prompt, { ...options, ...lookup() }))).toEqual(outcome(await run(model, prompt, options)));
    }
  });

  test("a draft model: greedy ids stay, its drawn drafts are mostly accepted", async () => {
    using model = await loadModel(demo);
    using draft = await loadModel(demo, { kvCache: "bf16", contextLength: 64 });
    const speculative = { draft, tokens: 3 };
    const plain = await run(model, prompt, { maxTokens: 120, stopTokens: [] });
    const greedy = await run(model, prompt, { maxTokens: 120, stopTokens: [], speculative });
    expect(outcome(greedy)).toEqual(outcome(plain));
    expect(greedy.speculation?.accepted).toBeGreaterThan(20);
    const options = { temperature: 1, seed: 5, maxTokens: 40, stopTokens: [], speculative };
    const drawn = await run(model, prompt, options);
    // The same weights, up to a cache of another format.
    expect(drawn.speculation?.accepted).toBeGreaterThan(0.8 * (drawn.speculation?.proposed ?? 0));
    expect(outcome(await run(model, prompt, options))).toEqual(outcome(drawn));
  });

  test("aborted between two tokens of one run, it stops there, and the next text is right", async () => {
    using model = await loadModel(demo);
    const plain = await run(model, prompt, { maxTokens: 40 });
    const known = nearly(model.encode(prompt), plain.ids, 1000);
    const controller = new AbortController();
    const seen: number[] = [];
    const aborted = (async () => {
      for await (const { ids } of model.generate(prompt, { signal: controller.signal, speculative: { draft: known, tokens: 8 } })) {
        seen.push(...ids);
        if (seen.length === 4) controller.abort(new Error("enough"));
      }
    })();
    await expect(aborted).rejects.toThrow("enough");
    expect(seen).toEqual(plain.ids.slice(0, 4));
    expect(outcome(await run(model, prompt, { maxTokens: 40, ...lookup() }))).toEqual(outcome(plain));
  });

  test("options that do not fit are errors", async () => {
    using model = await loadModel(demo);
    using other = await loadModel(`${golden}llama-gqa`);
    await expect(run(model, prompt, lookup(0))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[SpeculativeError: speculative.tokens: expected an integer >= 1, got 0]`,
    );
    const eager: Drafter = { propose: (_, most) => ({ ids: new Array<number>(most + 1).fill(5) }) };
    await expect(run(model, prompt, { speculative: { draft: eager }, maxTokens: 3 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[SpeculativeError: draft: tokens: expected an integer from 1 to 1, got 2]`,
    );
    await expect(run(model, prompt, { speculative: { draft: other } })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[GenerationOptionError: speculative.draft: expected a model with a vocabulary of 1024, got one of 320]`,
    );
    // As many tokens, but others.
    const spelled = (id: number) => (id === 700 ? "other" : model.tokenizer?.idToToken(id));
    const draft = { config: model.config, tokenizer: { idToToken: spelled }, createSequence: () => model.createSequence() };
    await expect(run(model, prompt, { speculative: { draft } })).rejects.toThrow(
      `speculative.draft: expected a model whose token 700 is ${JSON.stringify(model.tokenizer?.idToToken(700))}, got "other"`,
    );
  });
});

test("rlxjs run --speculative prints the same text", async () => {
  const args = ["run", "-p", "Once upon a time, there was a small owl. The small owl", "-n", "60"];
  const [plain, guessed] = await Promise.all([rlxjs(args), rlxjs([...args, "--speculative", "4"])]);
  expect(guessed.stdout).toBe(plain.stdout);
  expect(guessed.stderr).toMatch(/, \d+ of [1-9]\d* guesses right\]/);
});
