import { fileURLToPath } from "node:url";
import { openDirectory, openSafetensors, type Tensor } from "rlxjs";
import { beforeAll, describe, expect, test } from "vitest";
import { Whisper } from "../whisper.ts";

const fixture = fileURLToPath(new URL("../fixture", import.meta.url));
/** What Hugging Face transformers computes from the checkpoint. */
const golden: Record<string, Tensor> = {};
beforeAll(async () => {
  const directory = await openDirectory(fixture);
  const source = await directory.open("golden.safetensors");
  if (!source) throw new Error("no golden");
  using file = await openSafetensors(source);
  for (const name of file.names()) golden[name] = await file.tensor(name);
});
const of = (name: string): Tensor => {
  const t = golden[name];
  if (!t) throw new Error(name);
  return t;
};
function error(actual: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  let [worst, peak] = [0, 0];
  expect(actual?.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs((actual?.[i] ?? Number.NaN) - (expected[i] ?? 0)));
    peak = Math.max(peak, Math.abs(expected[i] ?? 0));
  }
  return worst / peak;
}

describe.each(["native", "reference"] as const)("%s kernels", (kernels) => {
  test("encoder and decoder compute what transformers does", async () => {
    using model = await Whisper.open(fixture, { kernels });
    const audio = await model.encode(of("input_features"));
    console.log(kernels, error(audio.hidden.data as Float32Array, of("encoder_hidden").data as Float32Array));
    const ids = of("decoder_ids").toArray();
    const { logits } = await model.decodeAll(audio, [ids.slice(0, 13), ids.slice(13)]);
    console.log(kernels, error(logits?.data as Float32Array, of("logits").data as Float32Array));
  });
});
