// Memory over many tokens and many models. Usage: node --expose-gc bench/soak.mjs [--json]
import { fileURLToPath } from "node:url";
import { loadModel } from "rlxjs";

const path = fileURLToPath(new URL("../models/tales-5.6m-q8_0.gguf", import.meta.url));
const rss = () => {
  globalThis.gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
};

async function tokens(model, count) {
  let done = 0;
  for (let story = 0; done < count; story++)
    for await (const piece of model.generate("Once upon a time", {
      temperature: 1,
      seed: story,
      stopTokens: [],
      maxTokens: Math.min(500, count - done),
    }))
      done += piece.ids.length;
}

const generation = [];
const model = await loadModel(path);
await tokens(model, 500); // warm up
for (let i = 0; i < 10; i++) {
  await tokens(model, 500);
  generation.push(rss());
}
model[Symbol.dispose]();

const cycles = [];
for (let i = 0; i < 100; i++) {
  const next = await loadModel(path);
  await tokens(next, 5);
  next[Symbol.dispose]();
  if (i % 10 === 9) cycles.push(rss());
}
const show = (list) => list.map((v) => v.toFixed(1)).join(" ");
if (process.argv.includes("--json")) console.log(JSON.stringify({ generation, cycles }));
else {
  console.log(`RSS in MiB after each 500 of 5,000 tokens: ${show(generation)}`);
  console.log(`RSS in MiB after each 10 of 100 load/dispose cycles: ${show(cycles)}`);
}
