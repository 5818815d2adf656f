// A tale from the demo model, as it is told. `npm run example story "One rainy day, Zoe" 3`: the opening, and the seed.
import { loadModel } from "rlxjs";

const [opening = "Once upon a time, there was a shy fox", seed = "1"] = process.argv.slice(2);

using model = await loadModel("models/tales-5.6m-q8_0.gguf");
process.stdout.write(opening);
const sampling = { temperature: 0.8, topP: 0.95, repetitionPenalty: 1.05, seed: Number(seed) };
for await (const { text, summary } of model.generate(opening, { ...sampling, maxTokens: 300 })) {
  process.stdout.write(text);
  if (summary) {
    const speed = (summary.generatedTokens * 1000) / summary.decodeMs;
    console.log(`\n\n${summary.generatedTokens} tokens, ${speed.toFixed(0)} per second, ended by ${summary.finishReason}`);
  }
}
