import { Tensor } from "rlxjs";
import { expect, test } from "vitest";
import { difference, type Golden, rowsOf } from "../golden.ts";
import { compare, holds } from "../parity.ts";
import { Whisper } from "../whisper.ts";
import { PlainWhisper } from "./plain-whisper.ts";
import { fixture, goldenOfFixture } from "./support.ts";

const golden = await goldenOfFixture();

test.each(["native", "reference"] as const)(
  "%s kernels: two recordings at once are encoded and decoded as by transformers",
  async (kernels) => {
    using model = await Whisper.open(fixture, { kernels });
    const audio = await model.encode(golden.features);
    expect(audio.hidden.shape).toEqual([2, 40, 64]);
    expect(difference(audio.hidden.values(), golden.hidden.values())).toBeLessThan(1e-5);
    const { logits } = await model.decodeAll(audio, golden.prompts);
    expect(logits.shape).toEqual([2, 13, 320]);
    expect(difference(logits.values(), golden.logits.values())).toBeLessThan(1e-5);
  },
);

test("a recording gives the same bits alone and among others", async () => {
  using model = await Whisper.open(fixture);
  const both = await model.encode(golden.features);
  const [, second = []] = rowsOf(golden.features);
  const alone = await model.encode(Tensor.from("f32", [1, 16, 80], second));
  expect(rowsOf(alone.hidden)[0]).toEqual(rowsOf(both.hidden)[1]);
});

test("the plain loops that other sizes are held to compute what transformers does", async () => {
  using model = await Whisper.open(fixture);
  const plain = new PlainWhisper(model.config, (name) => model.weights.get(name));
  const hidden = plain.encode(rowsOf(golden.features)[1] ?? []);
  expect(difference(hidden, rowsOf(golden.hidden)[1] ?? [])).toBeLessThan(1e-5);
  expect(difference(plain.decode(hidden, golden.prompts[1] ?? []), rowsOf(golden.logits)[1] ?? [])).toBeLessThan(1e-5);
});

test("a model is compared in every form, and what differs is found", async () => {
  using model = await Whisper.open(fixture);
  const holding = async (change: Partial<Golden>): Promise<boolean[]> => {
    const all: boolean[] = [];
    for await (const finding of compare(model, { ...golden, ...change })) all.push(holds(finding));
    return all;
  };
  // Encoder, prompts, four forms alone, four forms with the second recording.
  const every = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1].map(Boolean);
  expect(await holding({})).toEqual(every);
  const greedyIds = golden.greedyIds.with(39, 0);
  expect(await holding({ greedyIds })).toEqual(every.map((_, i) => i < 2 || (i > 5 && i % 2 === 1)));
  expect(await holding({ hidden: Tensor.zeros("f32", [2, 40, 64]) })).toEqual(every.map((_, i) => i > 0));
});
