// `npm run bench:peers`: rlxjs against llama.cpp, interleaved, on a Llama of 125 M random weights. Nothing is timed before both
// programs agree on the greedy ids. Options: --types f16,q8_0,q4_0 --rounds 7 --prompt 128 --gen 64 --out FILE
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exit, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setup } from "../../scripts/setup.mjs";

setup();
const { createNativeBackend, loadAddon } = await import("@rlxjs/backend-cpu");
const { loadLlamaCpp, openLlamaCpp } = await import("./llama-cpp.mjs");
const { shape, writeModel } = await import("./model.mjs");
const { loadRlxjs } = await import("./rlxjs.mjs");

const work = fileURLToPath(new URL("work", import.meta.url));
const { values: flags } = parseArgs({
  options: {
    types: { type: "string", default: "f16,q8_0,q4_0" },
    rounds: { type: "string", default: "7" },
    prompt: { type: "string", default: "128" },
    gen: { type: "string", default: "64" },
    out: { type: "string", default: join(work, "result.json") },
  },
});
const prompt = Number(flags.prompt);
const gen = Number(flags.gen);
const threadCounts = [1, 2];
const context = Math.min(shape.context, prompt + gen);
const ids = (count, seed) => Array.from({ length: count }, (_, i) => 259 + (((i + seed) * 7919) % (shape.vocab - 259)));
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Greedy ids must be equal; the logits behind them differ by the rounding of activations only. */
async function agree(type, ours, theirs) {
  const text = ids(24, 1);
  const [a, b] = [await ours.generate(text, 40), await theirs.generate(text, 40)];
  const [x, y] = [await ours.lastLogits(text), await theirs.lastLogits(text)];
  const peak = y.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const difference = x.reduce((m, v, i) => Math.max(m, Math.abs(v - y[i])), 0) / peak;
  const at = a.ids.findIndex((id, i) => id !== b.ids[i]);
  stdout.write(
    `${type}: ${at < 0 ? "40 greedy ids agree" : `greedy ids differ at ${at}`}, logits within ${(100 * difference).toFixed(2)} % of the largest\n`,
  );
  if (at < 0 && difference < 0.05) return;
  stdout.write(`rlxjs     ${a.ids.join(" ")}\nllama.cpp ${b.ids.join(" ")}\n`);
  exit(1);
}

async function measure(llama, type) {
  const path = join(work, `random-125m-${type}.gguf`);
  await writeModel(path, type);
  const contenders = [];
  for (const threads of threadCounts) {
    contenders.push({ name: "rlxjs", threads, program: await loadRlxjs(path, { threads, context }), prefill: [], decode: [] });
    contenders.push({
      name: "llama.cpp",
      threads,
      program: await loadLlamaCpp(llama, path, { threads, context }),
      prefill: [],
      decode: [],
    });
  }
  await agree(type, contenders[0].program, contenders[1].program);
  for (let round = 0; round <= Number(flags.rounds); round++)
    for (const { program, prefill, decode } of contenders) {
      // rlxjs chooses its tokens itself; llama.cpp is spared its sampler, which copies all logits.
      const text = ids(prompt, 1000 * round + 17);
      const { prefillMs, decodeMs } = program.replay ? await program.replay(text, ids(gen - 1, round)) : await program.generate(text, gen);
      if (round === 0) continue; // warm-up
      prefill.push((prompt * 1000) / prefillMs);
      decode.push(((gen - 1) * 1000) / decodeMs);
    }
  const results = contenders.map(({ name, threads, prefill, decode }) => ({
    name,
    threads,
    prefill: median(prefill),
    decode: median(decode),
  }));
  const compileMs = contenders[0].program.compileMs;
  for (const { program } of contenders) await program.dispose();
  // Decoding reads every matrix once, and of the embedding table one row.
  const tableBytes = { f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 }[type] * shape.vocab * shape.width;
  return { type, compileMs, weightBytesPerToken: statSync(path).size - tableBytes, results };
}

function report({ type, compileMs, weightBytesPerToken, results }, bandwidth) {
  const best = (name, what) => results.filter((r) => r.name === name).reduce((a, b) => (b[what] > a[what] ? b : a));
  const ratios = {};
  for (const what of ["prefill", "decode"]) {
    const [ours, theirs] = [best("rlxjs", what), best("llama.cpp", what)];
    ratios[what] = ours[what] / theirs[what];
    const share = (r) => (what === "decode" ? `, ${((100 * r.decode * weightBytesPerToken) / bandwidth).toFixed(0)} % of bandwidth` : "");
    const side = (r) => `${r.name} ${r[what].toFixed(1)} tokens/s (${r.threads} thread${r.threads > 1 ? "s" : ""}${share(r)})`;
    stdout.write(`${type.padEnd(5)} ${what.padEnd(7)} ${side(ours)}, ${side(theirs)}: ratio ${ratios[what].toFixed(2)}\n`);
  }
  stdout.write(`${type.padEnd(5)} compile ${compileMs.toFixed(0)} ms\n`);
  return ratios;
}

mkdirSync(work, { recursive: true });
const llama = await openLlamaCpp(work);
const { addon, reason } = loadAddon();
if (!addon) throw new Error(`no native kernels to measure: ${reason}`);
const bandwidths = threadCounts.map((threads) => {
  const backend = createNativeBackend(addon, { threads });
  const bytes = backend.measureBandwidth(2 ** 28);
  backend[Symbol.dispose]();
  return bytes;
});
const bandwidth = Math.max(...bandwidths);
stdout.write(`read bandwidth ${(bandwidth / 1e9).toFixed(1)} GB/s\n`);
const measured = [];
for (const type of flags.types.split(",")) {
  const result = await measure(llama, type);
  measured.push({ ...result, ratios: report(result, bandwidth) });
}
writeFileSync(flags.out, `${JSON.stringify({ prompt, gen, rounds: Number(flags.rounds), bandwidth, measured }, null, 2)}\n`);
await llama.dispose();
