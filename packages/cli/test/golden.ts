import { fileURLToPath } from "node:url";
import { openSafetensors } from "@rlxjs/models-core";
import { type LoadOptions, loadModel, openFile } from "@rlxjs/models-core/node";
import { expect } from "vitest";

/** Small models with what Hugging Face transformers computes for them. */
export const goldenModels: string = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));
export const goldenDecoders = ["llama-gqa", "llama-tied-mha", "qwen3-qknorm", "mistral-swa", "gemma3-text", "qwen3-moe"] as const;

/** The golden tensors of a model directory, as plain numbers. */
export async function openGolden(directory: string): Promise<(name: string) => number[]> {
  const checkpoint = await openSafetensors(await openFile(`${directory}/golden.safetensors`));
  const tensors = new Map<string, number[]>();
  for (const name of checkpoint.names()) tensors.set(name, (await checkpoint.tensor(name)).toArray());
  checkpoint[Symbol.dispose]();
  return (name) => {
    const values = tensors.get(name);
    if (!values) throw new Error(`${directory}: no golden tensor ${name}`);
    return values;
  };
}

/** NaN where the second list is shorter. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN)));
  return largest;
}

/** Largest difference of two lists of one length, relative to the largest magnitude of the second. */
function relativeError(given: ArrayLike<number>, golden: ArrayLike<number>): number {
  expect(given.length).toBe(golden.length);
  let peak = 0;
  for (let i = 0; i < golden.length; i++) peak = Math.max(peak, Math.abs(golden[i] ?? 0));
  return largestDifference(given, golden) / peak;
}

export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if ((row[i] ?? Number.NaN) > (row[best] ?? Number.NaN)) best = i;
  return best;
}

/** A decoder's logits with an f32 cache are the golden ones within `bound` of their largest, by prefill and by decode; greedy ids are the same. */
export async function expectGoldenDecoder(name: string, options: LoadOptions, bound: number): Promise<void> {
  using model = await loadModel(goldenModels + name, { ...options, kvCache: "f32" });
  const golden = await openGolden(goldenModels + name);
  const [ids, greedy] = [golden("long_ids"), golden("greedy_ids")];
  const { vocabSize } = model.config;
  for (const mode of ["full", "decode"] as const) {
    const logitsOf = async (tokens: readonly number[]) => (await model.logits(tokens, { mode })).values();
    expect(relativeError(await logitsOf(golden("short_ids")), golden("short_logits")), `${mode} short_logits`).toBeLessThanOrEqual(bound);
    // Teacher-forced: row i of the continuation chooses greedy_ids[i].
    const all = await logitsOf([...ids, ...greedy.slice(0, -1)]);
    expect(relativeError(all.subarray(0, ids.length * vocabSize), golden("long_logits")), `${mode} long_logits`).toBeLessThanOrEqual(bound);
    const rows = all.subarray((ids.length - 1) * vocabSize);
    expect(relativeError(rows, golden("greedy_logits")), `${mode} greedy_logits`).toBeLessThanOrEqual(bound);
    expect(greedy.map((_, i) => argmax(rows.subarray(i * vocabSize, (i + 1) * vocabSize)))).toEqual(greedy);
  }
}

/** The encoder's hidden states and means are the golden ones within `bound`, whatever else is in the batch. */
export async function expectGoldenEncoder(options: LoadOptions, bound: number): Promise<void> {
  using model = await loadModel(`${goldenModels}bert-encoder`, options);
  const golden = await openGolden(`${goldenModels}bert-encoder`);
  const ids = golden("input_ids");
  const texts = [ids.slice(0, 19), ids.slice(19, 19 + 13)];
  const states = await model.hiddenStates(texts);
  const expected = golden("last_hidden_state");
  const size = model.config.hiddenSize;
  texts.forEach((text, i) => {
    const rows = expected.slice(i * 19 * size, (i * 19 + text.length) * size);
    expect(largestDifference(states[i]?.toArray() ?? [], rows)).toBeLessThanOrEqual(bound);
  });
  const means = await model.embed(texts);
  expect(
    largestDifference(
      means.flatMap((m) => [...m]),
      golden("mean_pooled"),
    ),
  ).toBeLessThanOrEqual(bound);
  const [alone] = await model.embed([texts[1] ?? []]);
  expect(largestDifference(alone ?? [], means[1] ?? [])).toBeLessThanOrEqual(1e-6);
}
