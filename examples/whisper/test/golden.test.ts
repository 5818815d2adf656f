import { Tensor } from "rlxjs";
import { expect, test } from "vitest";
import { difference, rowsOf } from "../golden.ts";
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
