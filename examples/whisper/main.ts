// Whisper from a checkpoint as Hugging Face transformers stores it: `npm run example whisper [DIRECTORY]`. The directory of the example
// has log-mel spectrograms of two recordings, and what transformers computes from them; for another one, the spectrogram is noise.
import { Rng, randomTensor } from "rlxjs";
import { type GenerateOptions, generate } from "./generate.ts";
import { difference, type Golden, readGolden } from "./golden.ts";
import { type EncodedAudio, Whisper } from "./whisper.ts";

const [path = "examples/whisper/fixture"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
const { signal } = stop;

using model = await Whisper.open(path, { signal });
const { encoder, decoder, width, melBins, vocab, startId } = model.config;
console.log(`${encoder.layers} encoder layers, ${decoder.layers} decoder layers, width ${width}, ${vocab} tokens in the vocabulary`);
const golden = await readGolden(path);
if (golden)
  await compare(golden); // => caches on the device: 40 of 40 greedy tokens are those of transformers
else await listen();

/** Tokens of each recording, the likeliest at every step. */
async function decode(audio: EncodedAudio, prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<number[][]> {
  const lists = prompts.map((): number[] => []);
  for await (const { ids } of generate(model, audio, prompts, { ...options, signal }))
    for (const [i, id] of ids.entries()) lists[i]?.push(id);
  return lists;
}

async function compare({ features, hidden, prompts, logits, greedyIds }: Golden): Promise<void> {
  const audio = await model.encode(features, { signal });
  const all = await model.decodeAll(audio, prompts, { signal });
  const off = [difference(audio.hidden.values(), hidden.values()), difference(all.logits.values(), logits.values())];
  console.log(`encoder output and decoder logits of ${audio.batch} recordings: off by ${off.map((d) => d.toExponential(1)).join(" and ")}`);
  for (const cache of ["device", "host"] as const) {
    const [first = [], second = []] = await decode(audio, prompts, { maxTokens: greedyIds.length, endIds: [], cache });
    const equal = first.filter((id, i) => id === greedyIds[i]).length;
    console.log(`caches on the ${cache}: ${equal} of ${greedyIds.length} greedy tokens are those of transformers`);
    console.log(`  first recording:  ${first.slice(0, 16).join(" ")} ...`);
    console.log(`  second recording: ${second.slice(0, 16).join(" ")} ...`);
  }
}

async function listen(): Promise<void> {
  const audio = await model.encode(randomTensor(new Rng(1), "f32", [1, melBins, 2 * encoder.positions]), { signal });
  const started = performance.now();
  const [ids = []] = await decode(audio, [[startId]], { maxTokens: Math.min(40, decoder.positions - 1) });
  console.log(`${ids.length} tokens of noise in ${(performance.now() - started).toFixed(0)} ms: ${ids.join(" ")}`);
}
