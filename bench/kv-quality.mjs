// `npm run bench:kv-quality`: how well the demo model predicts 200 tales that it was not trained on, for each format of the KV cache.
//
// A tale is `<s>`, its text, `</s>`; every token after the first is predicted from those before it (teacher-forced) by the logits of
// `LanguageModel.logits`, whose runs write keys and values into the cache and attend to what the cache gives back: each key and each value
// that takes part has been through the format, those of the token itself included. How many tokens a run takes makes no difference but for
// rounding; the first tales are also measured token by token to show it. Beside the perplexity: the Kullback-Leibler divergence of the
// distributions from those with an f32 cache, in nats per token, and the root mean square of the differences of the logits over that of the
// logits, which shows differences where the model is too sure of its tokens for the perplexity to move. Options: --model PATH --tales N --formats k/v,... --out FILE
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setup } from "../scripts/setup.mjs";

setup();
const { loadModel } = await import("rlxjs");

const demo = fileURLToPath(new URL("../packages/models-core/test/fixtures/demo-model", import.meta.url));
const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: demo },
    tales: { type: "string", default: "200" },
    formats: { type: "string", default: "f32,f16,bf16,q8_0,tq8,tq6,tq5,tq4,q8_0/tq4,tq8/tq4,tq4/q8_0" },
    out: { type: "string", default: fileURLToPath(new URL("../.cache/kv-quality.json", import.meta.url)) },
  },
});
/** Tales that are also measured token by token. */
const stepped = 3;

const tales = readFileSync(`${demo}/heldout-tales.txt`, "utf8").trim().split(/\n\n+/).slice(0, Number(flags.tales));
const formats = [...new Set(["f32", ...flags.formats.split(",")])].map((name) => {
  const [k, v = k] = name.split("/");
  return { name, k, v };
});

/** Log-probabilities [n, vocab] in doubles: the differences between formats are far below the rounding of floats. */
function logProbabilities(logits, vocab) {
  const logs = Float64Array.from(logits);
  for (let start = 0; start < logs.length; start += vocab) {
    const row = logs.subarray(start, start + vocab);
    const max = row.reduce((m, x) => Math.max(m, x));
    const log = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0));
    for (let i = 0; i < vocab; i++) row[i] -= log;
  }
  return logs;
}

/** Nats that the tokens after the first cost. */
function cost(logs, ids, vocab) {
  let nats = 0;
  for (let i = 1; i < ids.length; i++) nats -= logs[(i - 1) * vocab + ids[i]];
  return nats;
}

/** The sum of squares of a list, or of its differences from another one. */
function squares(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - (b?.[i] ?? 0)) ** 2;
  return sum;
}

/** The sum over the rows of the Kullback-Leibler divergence of q from p. */
function divergence(p, q) {
  let nats = 0;
  for (let i = 0; i < p.length; i++) nats += Math.exp(p[i]) * (p[i] - q[i]);
  return nats;
}

const contenders = [];
for (const format of formats)
  contenders.push({
    ...format,
    model: await loadModel(flags.model, { kvCache: { k: format.k, v: format.v } }),
    nats: 0,
    divergence: 0,
    squaredError: 0,
    stepDifference: 0,
    seconds: 0,
  });
const [{ model }] = contenders;
const { vocabSize: vocab, eosTokenIds } = model.config;
let tokens = 0;
let squaredLogits = 0;
for (const [index, tale] of tales.entries()) {
  const ids = [...model.encode(tale), eosTokenIds[0]];
  const asked = ids.slice(0, -1);
  tokens += asked.length;
  let exact;
  for (const contender of contenders) {
    const start = performance.now();
    const logits = (await contender.model.logits(asked)).data;
    contender.seconds += (performance.now() - start) / 1000;
    const logs = logProbabilities(logits, vocab);
    exact ??= { logits, logs };
    if (exact.logits === logits) squaredLogits += squares(logits);
    const nats = cost(logs, ids, vocab);
    contender.nats += nats;
    contender.divergence += divergence(exact.logs, logs);
    contender.squaredError += squares(exact.logits, logits);
    if (index >= stepped) continue;
    const steps = logProbabilities((await contender.model.logits(asked, { mode: "decode" })).data, vocab);
    contender.stepDifference = Math.max(contender.stepDifference, Math.abs(cost(steps, ids, vocab) - nats) / asked.length);
  }
}

const f32 = contenders[0].nats / tokens;
const results = contenders.map(({ name, k, v, model, nats, divergence, squaredError, stepDifference, seconds }) => ({
  name,
  k,
  v,
  bytesPerToken: model.kvCache.bytesPerToken,
  natsPerToken: nats / tokens,
  perplexity: Math.exp(nats / tokens),
  ratio: Math.exp(nats / tokens - f32),
  divergence: divergence / tokens,
  logitError: Math.sqrt(squaredError / squaredLogits),
  stepDifference,
  seconds,
}));
for (const { model } of contenders) model[Symbol.dispose]();

stdout.write(`${tales.length} tales, ${tokens} predicted tokens, ${flags.model}\n\n`);
stdout.write("| keys / values | bytes per token | nats per token | perplexity | ratio to f32 | divergence from f32 | error of logits |\n");
stdout.write(`${"| --- ".repeat(7)}|\n`);
for (const r of results) {
  const numbers = [r.natsPerToken.toFixed(6), r.perplexity.toFixed(6), r.ratio.toFixed(6), r.divergence.toExponential(1)];
  const cells = [r.name, r.bytesPerToken, ...numbers, `${(100 * r.logitError).toFixed(3)} %`];
  stdout.write(`| ${cells.join(" | ")} |\n`);
}
const worst = Math.max(...results.map((r) => r.stepDifference));
stdout.write(`\nThe first ${stepped} tales token by token: within ${worst.toExponential(1)} nats per token of the above.\n`);
mkdirSync(dirname(flags.out), { recursive: true });
writeFileSync(flags.out, `${JSON.stringify({ model: flags.model, tales: tales.length, tokens, results }, null, 2)}\n`);
