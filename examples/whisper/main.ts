// Whisper from a checkpoint as Hugging Face transformers stores it: `npm run example whisper [DIRECTORY]`. Where golden.safetensors lies
// beside the model, as in the example's own directory, everything is compared with it; without one, the model hears noise.
import { Rng, randomTensor } from "rlxjs";
import { generate } from "./generate.ts";
import { type Golden, readGolden } from "./golden.ts";
import { compare, holds } from "./parity.ts";
import { Whisper } from "./whisper.ts";

const [path = "examples/whisper/fixture"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
const { signal } = stop;

using model = await Whisper.open(path, { signal });
const { encoder, decoder, width, melBins, vocab, startId } = model.config;
console.log(`${encoder.layers} encoder layers, ${decoder.layers} decoder layers, width ${width}, ${vocab} tokens in the vocabulary`);
const golden = await readGolden(path);
if (golden)
  await check(golden); // => 14 of 14 comparisons hold
else await listen();

async function check(expected: Golden): Promise<void> {
  let [good, all] = [0, 0];
  for await (const finding of compare(model, expected, { signal })) {
    const { what, off, tokens } = finding;
    const same = tokens ? `${tokens.same} of ${tokens.of} tokens, ` : "";
    console.log(`${holds(finding) ? "ok  " : "FAIL"} ${what}: ${same}off by ${off.toExponential(1)}`);
    all++;
    if (holds(finding)) good++;
  }
  console.log(`${good} of ${all} comparisons hold`);
  if (good < all) process.exitCode = 1;
}

async function listen(): Promise<void> {
  const audio = await model.encode(randomTensor(new Rng(1), "f32", [1, melBins, 2 * encoder.positions]), { signal });
  const started = performance.now();
  const ids: number[] = [];
  for await (const step of generate(model, audio, [[startId]], { maxTokens: Math.min(40, decoder.positions - 1), signal }))
    ids.push(...step.ids);
  console.log(`${ids.length} tokens of noise in ${(performance.now() - started).toFixed(0)} ms: ${ids.join(" ")}`);
}
