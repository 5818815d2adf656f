import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng, randomTensor, Tensor } from "rlxjs";
import { afterAll, describe, expect, test } from "vitest";
import { type GenerateOptions, generate, type Step } from "../generate.ts";
import { difference, rowsOf } from "../golden.ts";
import { forms, offFromRecomputed } from "../parity.ts";
import { type EncodedAudio, Whisper } from "../whisper.ts";
import { fixture, goldenOfFixture, oddSizes, writeCheckpoint } from "./support.ts";

const golden = await goldenOfFixture();
const folder = mkdtempSync(join(tmpdir(), "whisper-generate-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function steps(
  model: Whisper,
  audio: EncodedAudio,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<Step[]> {
  const out: Step[] = [];
  for await (const step of generate(model, audio, prompts, options)) out.push(step);
  return out;
}

describe.each(forms)("caches: $cache, $form", (how) => {
  test.each(["native", "reference"] as const)(
    "%s kernels: 40 greedy tokens and their logits are those of transformers",
    async (kernels) => {
      using model = await Whisper.open(fixture, { kernels });
      const [features = []] = rowsOf(golden.features);
      const audio = await model.encode(Tensor.from("f32", [1, 16, 80], features));
      const made = await steps(model, audio, golden.prompts.slice(0, 1), { maxTokens: 40, endIds: [], ...how });
      expect(made.flatMap(({ ids }) => ids)).toEqual(golden.greedyIds);
      expect(
        difference(
          made.flatMap(({ logits }) => logits.toArray()),
          golden.greedyLogits.values(),
        ),
      ).toBeLessThan(1e-5);
    },
  );

  test("two recordings at once: as transformers, and as recomputed", async () => {
    using model = await Whisper.open(fixture);
    const audio = await model.encode(golden.features);
    const made = await steps(model, audio, golden.prompts, { maxTokens: 40, endIds: [], ...how });
    expect(made.map(({ ids }) => ids[0])).toEqual(golden.greedyIds);
    for (const i of [0, 1]) expect(await offFromRecomputed(model, audio, golden.prompts, made, i)).toBeLessThan(1e-5);
  });

  test.each([23, 5])("other sizes, three recordings, until all %i positions are taken", async (positions) => {
    const path = join(folder, `${how.cache}-${how.form}-${positions}`);
    await writeCheckpoint(path, { ...oddSizes, max_target_positions: positions }, { seed: 5 });
    using model = await Whisper.open(path);
    const { melBins, encoder, decoder } = model.config;
    const audio = await model.encode(randomTensor(new Rng(3), "f32", [3, melBins, 2 * encoder.positions]));
    const prompts = [
      [1, 2],
      [3, 4],
      [5, 6],
    ];
    const made = await steps(model, audio, prompts, { endIds: [], ...how });
    expect(made).toHaveLength(decoder.positions - 2);
    for (const i of [0, 1, 2]) expect(await offFromRecomputed(model, audio, prompts, made, i)).toBeLessThan(1e-5);
  });
});

describe("what moves between host and device", () => {
  /** Counts of the graphs of the buckets that were used, summed. */
  async function counts(model: Whisper, name: string) {
    const buckets = model.bucketsOf(name);
    const sum = { runs: 0, hostSteps: 0, toDeviceBytes: 0, toHostBytes: 0 };
    for (const { start } of buckets.buckets) {
      using lease = await buckets.getOrCompile(start, () => Promise.reject(new Error("not compiled"))).catch(() => undefined);
      const stats = lease?.compiled.stats();
      if (stats) for (const key of ["runs", "hostSteps", "toDeviceBytes", "toHostBytes"] as const) sum[key] += stats[key];
    }
    return sum;
  }
  // Keys and values of three layers in f32, for two recordings.
  const crossBytes = 2 * 3 * 4 * 2 * 40 * 64;
  const rowBytes = 2 * 3 * 4 * 2 * 64;
  const tokenBytes = 4 * 2 + 4; // ids and position

  test.each([
    { form: "state", once: crossBytes, masks: 0 },
    // The prompt's rows, padded to the first bucket; then a mask per token, by the bucket that has room for it.
    { form: "concat", once: crossBytes + 16 * rowBytes, masks: 3 * 17 + 16 * 33 + 20 * 65 },
  ] as const)("$form: the audio goes to the device once; then tokens go in, and logits come out", async ({ form, once, masks }) => {
    using model = await Whisper.open(fixture);
    const audio = await model.encode(golden.features);
    await steps(model, audio, golden.prompts, { maxTokens: 40, endIds: [], form });
    expect(await counts(model, `${form} 2`)).toEqual({
      runs: 39,
      hostSteps: 0,
      toDeviceBytes: once + 39 * tokenBytes + masks,
      toHostBytes: 39 * 4 * 2 * 320,
    });
  });
});

describe("where a generation ends", () => {
  test("when every recording has ended; one that has ended repeats its last token", async () => {
    using model = await Whisper.open(fixture);
    const audio = await model.encode(golden.features);
    const free = await steps(model, audio, golden.prompts, { maxTokens: 12, endIds: [] });
    const [first, second] = [free[3]?.ids[0] ?? -1, free[7]?.ids[1] ?? -1];
    const made = await steps(model, audio, golden.prompts, { maxTokens: 12, endIds: [first, second] });
    const ends = [0, 1].map((i) => free.findIndex(({ ids }) => ids[i] === first || ids[i] === second));
    expect(made).toHaveLength(Math.max(...ends) + 1);
    for (const [n, { ids }] of made.entries()) expect(ids).toEqual(ends.map((end, i) => free[Math.min(n, end)]?.ids[i]));
  });

  test("at maxTokens, which is checked against the positions", async () => {
    using model = await Whisper.open(fixture);
    const audio = await model.encode(golden.features);
    expect(await steps(model, audio, golden.prompts, { maxTokens: 0 })).toEqual([]);
    await expect(steps(model, audio, golden.prompts, { maxTokens: 84 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WhisperInputError: whisper: maxTokens: expected a whole number from 0 to 83, got 84]`,
    );
  });

  test.each(forms)("when it is aborted or left ($cache, $form): the next one starts anew", async (how) => {
    using model = await Whisper.open(fixture);
    const audio = await model.encode(golden.features);
    const stop = new AbortController();
    const seen: Step[] = [];
    const run = async (): Promise<void> => {
      for await (const step of generate(model, audio, golden.prompts, { ...how, endIds: [], signal: stop.signal }))
        if (seen.push(step) === 5) stop.abort(new Error("enough"));
    };
    await expect(run()).rejects.toThrow("enough");
    for await (const step of generate(model, audio, golden.prompts, { ...how, endIds: [] })) if (seen.push(step) === 10) break;
    expect(seen.slice(0, 5).map(({ ids }) => ids)).toEqual(seen.slice(5).map(({ ids }) => ids));
    expect((await steps(model, audio, golden.prompts, { ...how, maxTokens: 20, endIds: [] })).map(({ ids }) => ids[0])).toEqual(
      golden.greedyIds.slice(0, 20),
    );
  });
});
