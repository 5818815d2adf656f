import { expect, test } from "vitest";
import { type GenerateOptions, generate, type Step } from "../generate.ts";
import { Tensor } from "rlxjs";
import { Whisper } from "../whisper.ts";
import { difference, fixture, readGolden, rowsOf } from "./support.ts";

const golden = await readGolden();

const forms = (["device", "host"] as const).flatMap((cache) => (["state", "concat"] as const).map((form) => ({ cache, form })));

test.each(forms)("$cache $form", async (how) => {
  using model = await Whisper.open(fixture);
  const [first = []] = rowsOf(golden("input_features"));
  const audio = await model.encode(Tensor.from("f32", [1, 16, 80], first));
  const steps: Step[] = [];
  for await (const step of generate(model, audio, rowsOf(golden("decoder_ids")).slice(0, 1), { maxTokens: 40, endIds: [], ...how }))
    steps.push(step);
  expect(steps.map((s) => s.ids[0])).toEqual(golden("greedy_ids").toArray());
  console.log(
    how,
    difference(
      steps.flatMap((s) => s.logits.toArray()),
      golden("greedy_logits").toArray(),
    ),
  );
});
