import { Tensor } from "rlxjs";
import { expect, test } from "vitest";
import { Whisper } from "../whisper.ts";
import { PlainWhisper } from "./plain-whisper.ts";
import { difference, fixture, readGolden, rowsOf } from "./support.ts";

const golden = await readGolden();

test.each(["native", "reference"] as const)(
  "%s kernels: encoder and decoder compute what transformers does, two recordings at once",
  async (kernels) => {
    using model = await Whisper.open(fixture, { kernels });
    const audio = await model.encode(golden("input_features"));
    expect(audio.hidden.shape).toEqual([2, 40, 64]);
    expect(difference(audio.hidden.toArray(), golden("encoder_hidden").toArray())).toBeLessThan(1e-5);
    const { logits } = await model.decodeAll(audio, rowsOf(golden("decoder_ids")));
    expect(logits.shape).toEqual([2, 13, 320]);
    expect(difference(logits.toArray(), golden("logits").toArray())).toBeLessThan(1e-5);
  },
);

test("a recording gives the same alone and among others", async () => {
  using model = await Whisper.open(fixture);
  const both = await model.encode(golden("input_features"));
  const [, second] = rowsOf(golden("input_features"));
  const alone = await model.encode(Tensor.from("f32", [1, 16, 80], second ?? []));
  expect(rowsOf(alone.hidden)[0]).toEqual(rowsOf(both.hidden)[1]);
});

test("the plain loops that other sizes are held to compute what transformers does", async () => {
  using model = await Whisper.open(fixture);
  const plain = new PlainWhisper(model.config, (name) => model.weights.get(name));
  const hidden = plain.encode(rowsOf(golden("input_features"))[1] ?? []);
  expect(difference(hidden, rowsOf(golden("encoder_hidden"))[1] ?? [])).toBeLessThan(1e-5);
  const logits = plain.decode(hidden, rowsOf(golden("decoder_ids"))[1] ?? []);
  expect(difference(logits, rowsOf(golden("logits"))[1] ?? [])).toBeLessThan(1e-5);
});
