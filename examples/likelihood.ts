// Which sentence does a model find likelier? The logits of a text are also its score: no token is generated.
import { loadModel } from "rlxjs";

using model = await loadModel("models/tales-5.6m-q8_0.gguf");

/** Mean log-probability of a text's tokens, each given those before it; nearer to 0 is likelier. */
async function score(text: string): Promise<number> {
  const ids = model.encode(text);
  const values = (await model.logits(ids)).toArray(); // [n, vocab]; row i is about token i + 1
  const vocab = model.config.vocabSize;
  let sum = 0;
  for (let i = 0; i + 1 < ids.length; i++) {
    const row = values.slice(i * vocab, (i + 1) * vocab);
    const peak = Math.max(...row);
    const normaliser = peak + Math.log(row.reduce((total, v) => total + Math.exp(v - peak), 0));
    sum += (row[ids[i + 1] ?? 0] ?? 0) - normaliser;
  }
  return sum / (ids.length - 1);
}

const sentences = [
  "A time upon once, shy there fox was a.",
  "Once upon a time, there was a shy fox.",
  "Once upon a time, there was a shy committee.",
  "Once upon a time, there were a shy fox.",
];
const scored = await Promise.all(sentences.map(async (text) => ({ text, score: await score(text) })));
for (const { text, score } of scored.sort((a, b) => b.score - a.score)) console.log(score.toFixed(2), text);
