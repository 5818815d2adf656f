import { fileURLToPath } from "node:url";
import { loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { describe, expect, test } from "vitest";
import { openGolden } from "./golden.ts";

const models = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
const decoders = ["llama-gqa", "llama-tied-mha", "qwen3-qknorm", "mistral-swa", "gemma3-text", "qwen3-moe"];

/** Largest difference of two lists, and the largest magnitude of the second. */
function compare(given: ArrayLike<number>, golden: ArrayLike<number>): { error: number; peak: number } {
  expect(given.length).toBe(golden.length);
  let error = 0;
  let peak = 0;
  for (let i = 0; i < golden.length; i++) {
    error = Math.max(error, Math.abs((given[i] ?? Number.NaN) - (golden[i] ?? 0)));
    peak = Math.max(peak, Math.abs(golden[i] ?? 0));
  }
  return { error, peak };
}
const argmax = (row: ArrayLike<number>): number => Array.from(row).indexOf(Math.max(...Array.from(row)));

describe.each(["native", "reference"] as const)("%s kernels", (kernels) => {
  test.each(decoders)("%s: logits of Hugging Face transformers, by prefill and by decode", async (name) => {
    using model = await loadModel(models + name, { kernels, kvCache: "f32" });
    const golden = await openGolden(models + name);
    const ids = golden("long_ids");
    const greedy = golden("greedy_ids");
    const steps = golden("greedy_logits");
    for (const mode of ["full", "decode"] as const) {
      for (const which of ["short", "long"]) {
        const logits = (await model.logits(golden(`${which}_ids`), { mode })).values();
        const { error, peak } = compare(logits, golden(`${which}_logits`));
        expect(error, `${mode} ${which}_logits`).toBeLessThanOrEqual(1e-3 * peak);
      }
      // Teacher-forced: row i of the continuation chooses greedy_ids[i].
      const all = (await model.logits([...ids, ...greedy.slice(0, -1)], { mode })).values();
      const rows = all.subarray((ids.length - 1) * model.config.vocabSize);
      const { error, peak } = compare(rows, steps);
      expect(error, `${mode} greedy_logits`).toBeLessThanOrEqual(1e-3 * peak);
      const chosen = greedy.map((_, i) => argmax(rows.subarray(i * model.config.vocabSize, (i + 1) * model.config.vocabSize)));
      expect(chosen).toEqual(greedy);
    }
  });

  test("bert-encoder: hidden states and means, whatever else is in the batch", async () => {
    using model = await loadModel(`${models}bert-encoder`, { kernels });
    const golden = await openGolden(`${models}bert-encoder`);
    const ids = golden("input_ids");
    const texts = [ids.slice(0, 19), ids.slice(19, 19 + 13)];
    const states = await model.hiddenStates(texts);
    const expected = golden("last_hidden_state");
    const size = model.config.hiddenSize;
    texts.forEach((text, i) => {
      const { error } = compare(states[i]?.toArray() ?? [], expected.slice(i * 19 * size, (i * 19 + text.length) * size));
      expect(error).toBeLessThanOrEqual(1e-4);
    });
    const means = await model.embed(texts);
    expect(
      compare(
        means.flatMap((m) => [...m]),
        golden("mean_pooled"),
      ).error,
    ).toBeLessThanOrEqual(1e-4);
    const [alone] = await model.embed([texts[1] ?? []]);
    expect(compare(alone ?? [], means[1] ?? []).error).toBeLessThanOrEqual(1e-6);
  });
});
