import { loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { expect, test } from "vitest";
import { argmax, goldenDecoders, goldenModels, largestDifference, openGolden } from "./golden.ts";

/*
 * Greedy ids of the golden models with compressed caches. A cache that rounds keys and values moves logits, so a token may change where the
 * two best golden logits are closer together than that. The bound is measured where no token is chosen: twice (both logits may move) the
 * largest difference that the format makes to any logit of the prompt's rows. Where a token differs, the golden margin must be below it.
 */
const formats = ["f16", "q8_0"] as const;

/** By how much the best logit of a row leads. */
function margin(row: readonly number[]): number {
  const [first = 0, second = 0] = [...row].sort((a, b) => b - a);
  return first - second;
}

test.each(goldenDecoders)("%s: greedy ids with f16 and q8_0 caches", async (name) => {
  const golden = await openGolden(goldenModels + name);
  const [ids, greedy, goldenLogits] = [golden("long_ids"), golden("greedy_ids"), golden("greedy_logits")];
  const forced = [...ids, ...greedy.slice(0, -1)];
  using exact = await loadModel(goldenModels + name, { kvCache: "f32" });
  const { vocabSize } = exact.config;
  const prompt = ids.length * vocabSize;
  const exactLogits = Float32Array.from((await exact.logits(forced)).values());
  const exceptions = [];
  for (const kvCache of formats) {
    using model = await loadModel(goldenModels + name, { kvCache });
    const logits = Float32Array.from((await model.logits(forced)).values());
    const bound = 2 * largestDifference(logits.subarray(0, prompt), exactLogits.subarray(0, prompt));
    expect(bound).toBeGreaterThan(0);
    let same = greedy.length;
    for (const [step, id] of greedy.entries()) {
      const at = (ids.length - 1 + step) * vocabSize;
      if (argmax(logits.subarray(at, at + vocabSize)) === id) continue;
      same = Math.min(same, step);
      const lead = margin(goldenLogits.slice(step * vocabSize, (step + 1) * vocabSize));
      expect(lead, `${kvCache} step ${step}`).toBeLessThan(bound);
      exceptions.push({ kvCache, step, margin: lead.toPrecision(2), bound: bound.toPrecision(2) });
    }
    // On its own, the model goes the golden way as far as the first exception.
    const chosen: number[] = [];
    for await (const piece of model.generate(ids, { maxTokens: greedy.length, stopTokens: [] })) chosen.push(...piece.ids);
    expect(chosen.slice(0, same)).toEqual(greedy.slice(0, same));
  }
  expect(exceptions).toMatchSnapshot();
});
