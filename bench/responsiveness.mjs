// How free the event loop is during a long prefill, and how soon an aborted one rejects. Usage: node bench/responsiveness.mjs [--json]
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadModel } from "rlxjs";
import { shape, writeModel } from "./peers/model.mjs";

const work = fileURLToPath(new URL("peers/work/", import.meta.url));
mkdirSync(work, { recursive: true });
const path = `${work}random-125m-q8_0.gguf`;
await writeModel(path, "q8_0");

const model = await loadModel(path, { contextLength: shape.context });
const tokens = (seed, n) => Array.from({ length: n }, (_, i) => (i * 7919 + seed * 104_729 + 17) % shape.vocab);
const prefill = async (ids, signal) => {
  for await (const _ of model.generate(ids, { maxTokens: 1, signal }));
};

/** Gaps between the ticks of a 1 ms timer while `work` runs, in milliseconds, sorted. */
async function gapsDuring(work) {
  const gaps = [];
  let last = performance.now();
  let timer;
  const tick = () => {
    const now = performance.now();
    gaps.push(now - last);
    last = now;
    timer = setTimeout(tick, 1);
  };
  timer = setTimeout(tick, 1);
  await work();
  clearTimeout(timer);
  return gaps.sort((a, b) => a - b);
}

await prefill(tokens(0, 64)); // compile and warm up
let elapsed = 0;
const gaps = await gapsDuring(async () => {
  const started = performance.now();
  for (let round = 1; elapsed < 2000; round++) {
    await prefill(tokens(round, shape.context - 8));
    elapsed = performance.now() - started;
  }
});
const aborts = [];
for (let round = 0; round < 20; round++) {
  const controller = new AbortController();
  let aborted = 0;
  setTimeout(
    () => {
      aborted = performance.now();
      controller.abort();
    },
    20 + round * 10,
  );
  await prefill(tokens(100 + round, shape.context - 8), controller.signal).then(
    () => {
      throw new Error("the prefill ended before it was aborted: the model is too small for this machine");
    },
    (error) => {
      if (!controller.signal.aborted) throw error;
      aborts.push(performance.now() - aborted);
    },
  );
}
model[Symbol.dispose]();
const p99 = gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * 0.99))];
const result = { prefillMs: elapsed, ticks: gaps.length, p99Ms: p99, longestMs: gaps.at(-1), longestAbortMs: Math.max(...aborts) };
if (process.argv.includes("--json")) console.log(JSON.stringify(result));
else {
  console.log(
    `prefill of ${Math.round(elapsed)} ms, ${gaps.length} ticks of a 1 ms timer: gap p99 ${p99.toFixed(2)} ms, longest ${gaps.at(-1).toFixed(2)} ms`,
  );
  console.log(`20 aborts: slowest rejection ${Math.max(...aborts).toFixed(2)} ms after the signal`);
}
