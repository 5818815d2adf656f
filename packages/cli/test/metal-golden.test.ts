import { type LoadOptions, loadModel } from "@rlxjs/models-core/node";
import { afterEach, expect, test } from "vitest";
import { configured, describeOnMetal, expectNoFaults, fastest, strictest } from "../../backend-metal/test/variants.ts";
import { demo, root } from "./cli.ts";
import { expectGoldenDecoder, expectGoldenEncoder, goldenDecoders, goldenModels, largestDifference, openGolden } from "./golden.ts";
import "@rlxjs/backend-cpu";

const onMetal = (path: string, options: LoadOptions, variant = fastest) =>
  configured(variant, () => loadModel(path, { ...options, device: "metal" }));
const peakOf = (values: readonly number[]): number => Math.max(...values.map(Math.abs));
const bound = 2e-3;

afterEach(expectNoFaults);

describeOnMetal("golden models on metal", () => {
  test.each(goldenDecoders)("%s: logits of Hugging Face transformers, by prefill and by decode", (name) =>
    configured(fastest, () => expectGoldenDecoder(name, { device: "metal" }, bound)),
  );

  test("bert-encoder: hidden states and means", () => configured(fastest, () => expectGoldenEncoder({ device: "metal" }, bound)));

  // What rounding keys and values does to logits is measured on the CPU; on metal it may do twice that, since both logits move.
  test.each(goldenDecoders)("%s: with an f16 cache as near as rounding it allows, and the same greedy ids", async (name) => {
    const path = goldenModels + name;
    const golden = await openGolden(path);
    const [ids, greedy] = [golden("long_ids"), golden("greedy_ids")];
    const expected = golden("long_logits");
    const logitsOf = async (model: Awaited<ReturnType<typeof loadModel>>) => Array.from((await model.logits(ids)).values());
    using exact = await loadModel(path, { kvCache: "f32" });
    using rounded = await loadModel(path, { kvCache: "f16" });
    const rounding = largestDifference(await logitsOf(rounded), await logitsOf(exact));
    using model = await onMetal(path, { kvCache: "f16" });
    expect(rounding).toBeGreaterThan(0);
    expect(largestDifference(await logitsOf(model), expected)).toBeLessThanOrEqual(bound * peakOf(expected) + 2 * rounding);
    const chosen: number[] = [];
    for await (const piece of model.generate(ids, { maxTokens: 12, stopTokens: [] })) chosen.push(...piece.ids);
    expect(chosen).toEqual(greedy.slice(0, 12));
  });

  test("a decoder on checked kernels, in random order", async () => {
    const path = `${goldenModels}llama-tied-mha`;
    const golden = await openGolden(path);
    using model = await onMetal(path, { kvCache: "f32" }, strictest);
    const expected = golden("short_logits");
    for (const mode of ["full", "decode"] as const) {
      const logits = (await model.logits(golden("short_ids"), { mode })).values();
      expect(largestDifference(logits, expected)).toBeLessThanOrEqual(bound * peakOf(expected));
    }
  });

  test("the demo model goes on as on the CPU", async () => {
    const ids = async (options: LoadOptions) => {
      using model = await loadModel(`${root}/${demo}`, { ...options, contextLength: 64 });
      const chosen: number[] = [];
      for await (const piece of model.generate("Once upon a time, there was", { maxTokens: 8 })) chosen.push(...piece.ids);
      return chosen;
    };
    expect(await configured(fastest, () => ids({ device: "metal" }))).toEqual(await ids({}));
  });
});
