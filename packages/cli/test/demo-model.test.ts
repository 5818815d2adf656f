import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { expect, test } from "vitest";
import { openGolden } from "./golden.ts";

const directory = fileURLToPath(new URL("../../models-core/test/fixtures/demo-model", import.meta.url));
const gguf = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));
interface Story {
  readonly prompt: string;
  readonly greedy_text: string;
}
const stories: readonly Story[] = JSON.parse(readFileSync(`${directory}/golden.json`, "utf8")).meta.prompts;

test("in bf16 the demo model tells the golden stories word for word", async () => {
  using model = await loadModel(directory, { kvCache: "f32" });
  for (const { prompt, greedy_text } of stories) expect(prompt + (await model.complete(prompt))).toBe(greedy_text);
});

test("in bf16 its logits are the golden ones", async () => {
  using model = await loadModel(directory, { kvCache: "f32" });
  const golden = await openGolden(directory);
  for (const i of stories.keys()) {
    const expected = golden(`p${i}.logits`);
    const given = (await model.logits(golden(`p${i}.ids`))).toArray();
    const peak = Math.max(...expected.map(Math.abs));
    expect(given.length).toBe(expected.length);
    expect(Math.max(...given.map((v, k) => Math.abs(v - (expected[k] ?? Number.NaN))))).toBeLessThanOrEqual(1e-3 * peak);
  }
});

test("in q8_0 it tells stories of the same form", async () => {
  using model = await loadModel(gguf);
  for (const { prompt } of stories) {
    const text = prompt + (await model.complete(prompt));
    expect(text).toMatch(/ learned that .*\. The end\.$/);
    expect(text.split("\n").length).toBeGreaterThanOrEqual(2);
  }
});

test("500 tokens: one compile per graph, one native call per token, no copy of the cache", async () => {
  using model = await loadModel(gguf);
  const before = model.stats();
  let tokens = 0;
  for await (const piece of model.generate([1, 42, 381], { maxTokens: 500, stopTokens: [] })) tokens += piece.ids.length;
  const after = model.stats();
  expect(tokens).toBe(500);
  expect(after.compiles).toBe(before.compiles);
  expect(after.runs - before.runs).toBe(500);
  expect(after.stateCopies).toBe(0);
  if (model.device.description.startsWith("native")) expect(after.nativeCalls - before.nativeCalls).toBe(500);
});

test("a shared prefix is not computed again, and changes nothing", async () => {
  using model = await loadModel(gguf);
  const summary = async (prompt: string) => {
    let text = "";
    for await (const piece of model.generate(prompt, { maxTokens: 8 })) {
      text += piece.text;
      if (piece.summary) return { text, ...piece.summary };
    }
    throw new Error("no summary");
  };
  const first = await summary("Once upon a time, there was");
  expect(first.reusedTokens).toBe(0);
  const again = await summary("Once upon a time, there was");
  expect(again.reusedTokens).toBe(again.promptTokens - 1);
  expect(again.text).toBe(first.text);
});

test("stop strings, stop tokens and limits end the text, and say so", async () => {
  using model = await loadModel(gguf);
  const end = async (options: Parameters<typeof model.generate>[1]) => {
    let text = "";
    for await (const piece of model.generate("Once upon a time, there was", options)) {
      text += piece.text;
      if (piece.summary) return { text, reason: piece.summary.finishReason };
    }
    return undefined;
  };
  expect(await end({ maxTokens: 0 })).toEqual({ text: "", reason: "max-tokens" });
  expect((await end({ stop: "." }))?.reason).toBe("stop-string");
  expect((await end({ stop: "." }))?.text).not.toContain(".");
  expect((await end({}))?.reason).toBe("stop-token");
});

test("one seed is one text, two sequences at once do not disturb each other", async () => {
  using model = await loadModel(gguf);
  const options = { temperature: 0.9, topP: 0.95, seed: 11, maxTokens: 40 };
  const alone = await model.complete("Once upon a time", options);
  const [a, b] = await Promise.all([
    model.complete("Once upon a time", options),
    model.complete("One rainy day, Zoe", { ...options, seed: 12 }),
  ]);
  expect(a).toBe(alone);
  expect(b).not.toBe(alone);
});

test("an aborted signal rejects, and the model goes on working", async () => {
  using model = await loadModel(gguf);
  const controller = new AbortController();
  const run = (async () => {
    for await (const piece of model.generate("Once upon a time", { signal: controller.signal, stopTokens: [], maxTokens: 400 }))
      if (piece.ids.length) controller.abort(new Error("enough"));
  })();
  await expect(run).rejects.toThrow("enough");
  expect(await model.complete("Once upon a time", { maxTokens: 3 })).not.toBe("");
});

test("what cannot be generated is refused with a reason", async () => {
  using model = await loadModel(gguf, { contextLength: 16 });
  await expect(model.complete([])).rejects.toThrowErrorMatchingInlineSnapshot(`[RlxError: prompt: expected at least one token, got none]`);
  await expect(model.complete([1, 99999])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RlxError: token 1: expected an id from 0 to 1023, got 99999]`,
  );
  await expect(model.complete(Array.from({ length: 17 }, () => 5))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RlxError: prompt: expected at most 16 tokens (the context length), got 17]`,
  );
  await expect(model.complete([{ role: "user", content: "hi" }])).rejects.toThrow("expected a chat template, got a model without one");
  await expect(loadModel(gguf, { contextLength: 5000 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RlxError: contextLength: expected an integer from 1 to 1024 (the model's positions), got 5000]`,
  );
});

test("a model without a tokenizer continues ids", async () => {
  using model = await loadModel(fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/llama-gqa", import.meta.url)), {
    kvCache: "f32",
  });
  const golden = await openGolden(fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/llama-gqa", import.meta.url)));
  const ids: number[] = [];
  for await (const piece of model.generate(golden("long_ids"), { maxTokens: 40, stopTokens: [] })) ids.push(...piece.ids);
  expect(ids).toEqual(golden("greedy_ids"));
  await expect(model.complete("text")).rejects.toThrow("has no tokenizer");
});
