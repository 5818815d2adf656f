import "@rlxjs/backend-cpu";
import { fileURLToPath } from "node:url";
import type { KvCacheOption, LanguageModel } from "@rlxjs/models-core";
import { loadModel } from "@rlxjs/models-core/node";
import { expect, test } from "vitest";

const demo = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));
const golden = fileURLToPath(new URL("../../models-core/test/fixtures/hf-models/", import.meta.url));

/** Logits of tokens in runs of `rows`, in one sequence, as bytes. */
async function logitsOf(model: LanguageModel, ids: readonly number[], rows: number): Promise<Buffer> {
  using sequence = await model.createSequence();
  const out: Buffer[] = [];
  for (let at = 0; at < ids.length; at += rows) {
    const { logits } = await sequence.append(ids.slice(at, at + rows), { logits: "all" });
    out.push(Buffer.from(Float32Array.from(logits ?? []).buffer));
  }
  return Buffer.concat(out);
}

/** Guesses can be checked in one run because of this: what a token says does not depend on what runs beside it. */
const cases: [string, KvCacheOption][] = [
  ...["llama-gqa", "llama-tied-mha", "qwen3-qknorm", "mistral-swa", "gemma3-text", "qwen3-moe"].map((name): [string, KvCacheOption] => [
    golden + name,
    "f16",
  ]),
  ...(["f32", "q8_0", "tq4"] as const).map((kvCache): [string, KvCacheOption] => [demo, kvCache]),
];
test.each(cases)("%s, cache in %s: logits have the same bits, alone or with others in one run", async (path, kvCache) => {
  using model = await loadModel(path, { kvCache });
  const ids = Array.from({ length: path === demo ? 300 : 48 }, (_, i) => 3 + ((i * 37) % (model.config.vocabSize - 3)));
  const alone = await logitsOf(model, ids, 1);
  expect(alone.byteLength).toBe(ids.length * model.config.vocabSize * 4);
  for (const rows of [2, 5]) expect((await logitsOf(model, ids, rows)).equals(alone)).toBe(true);
});
