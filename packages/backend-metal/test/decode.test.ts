import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { LanguageModel } from "@rlxjs/models-core";
import { loadModel } from "@rlxjs/models-core/node";
import { type GpuCounts, gpuCountsSince } from "@rlxjs/runtime";
import { afterEach, expect, test } from "vitest";
import { randomModel } from "../../cli/test/random-model.ts";
import { configured, describeOnMetal, expectNoFaults, fastest } from "./variants.ts";

afterEach(expectNoFaults);

const llama = {
  model_type: "llama",
  vocab_size: 64,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: true,
};
/** The rows of the table in docs/metal.md: a model's configuration, and the format of its cache. */
const stacks = { llama: [llama], "llama with a cache of tq8": [llama, "tq8"], qwen3: [{ ...llama, model_type: "qwen3" }] } as const;

/** `work` on a model of so many layers, loaded on metal. */
async function withModel<T>(config: object, layers: number, work: (model: LanguageModel) => Promise<T>, kvCache?: "tq8"): Promise<T> {
  const directory = await randomModel({ ...config, num_hidden_layers: layers }, 3);
  try {
    using model = await configured(fastest, () => loadModel(directory, { device: "metal", ...(kvCache && { kvCache }) }));
    return await work(model);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const prompt = (tokens: number): number[] => Array.from({ length: tokens }, (_, i) => (7 * i + 3) % llama.vocab_size);

/** What `tokens` tokens behind a prompt ask of the GPU and of the host, and what the prompt itself does. */
async function counted(model: LanguageModel, promptTokens: number, tokens: number) {
  const start = model.stats();
  let prefilled: ReturnType<LanguageModel["stats"]> | undefined;
  for await (const _ of model.generate(prompt(promptTokens), { maxTokens: tokens + 1, stopTokens: [] })) prefilled ??= model.stats();
  const end = model.stats();
  const gpu = (now?: GpuCounts, before?: GpuCounts): GpuCounts => (now ? gpuCountsSince(now, before) : expect.fail("no counts of a GPU"));
  const prefill = prefilled ?? start;
  const host = (key: "runs" | "nativeCalls" | "hostSteps" | "stateCopies" | "toHostBytes" | "toDeviceBytes" | "deviceCopyBytes") =>
    end[key] - prefill[key];
  return { prefill: gpu(prefill.gpu, start.gpu), decode: gpu(end.gpu, prefill.gpu), host };
}

/** Launches per layer and token of a decoder, from models that differ by one layer. */
const launchesPerLayer = async (config: object, kvCache?: "tq8"): Promise<number> => {
  const launches = (layers: number) => withModel(config, layers, async (model) => (await counted(model, 5, 1)).decode.launches, kvCache);
  return (await launches(3)) - (await launches(2));
};

describeOnMetal("decoding on metal", () => {
  test("a token is one native call, one command buffer and one wait; the cache stays where it is; the host reads the id", async () => {
    await withModel(llama, 2, async (model) => {
      await counted(model, 3, 1); // graphs are compiled, weights are there
      const { decode, host } = await counted(model, 9, 20);
      expect(decode).toMatchObject({ commandBuffers: 20, waits: 20 });
      expect([host("runs"), host("nativeCalls"), host("hostSteps")]).toEqual([20, 20, 0]);
      expect([host("stateCopies"), host("deviceCopyBytes")]).toEqual([0, 0]);
      // The id that was chosen; the id that goes in, and its position.
      expect([host("toHostBytes"), host("toDeviceBytes")]).toEqual([20 * 4, 20 * 8]);
      expect(decode.copiedBytes).toBeLessThanOrEqual(20 * 12);
      expect(decode.barriers).toBeLessThan(decode.launches);
    });
  });

  test("docs/metal.md says how many launches a layer takes", async () => {
    const page = readFileSync(fileURLToPath(new URL("../../../docs/metal.md", import.meta.url)), "utf8");
    const stated = [...page.matchAll(/^\| ([\w ]+) \| (\d+) \|$/gm)].map(([, name = "", launches = ""]) => [name, Number(launches)]);
    const measured = Object.entries(stacks).map(async ([name, [config, kvCache]]) => [name, await launchesPerLayer(config, kvCache)]);
    expect(stated).toEqual(await Promise.all(measured));
  });

  test("a prompt takes one command buffer, and as many launches as any other", async () => {
    await withModel(llama, 2, async (model) => {
      const short = await counted(model, 5, 1);
      const long = await counted(model, 300, 1);
      expect([short.prefill.commandBuffers, long.prefill.commandBuffers]).toEqual([1, 1]);
      expect(long.prefill.launches).toBe(short.prefill.launches);
    });
  });
});
