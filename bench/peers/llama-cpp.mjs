// llama.cpp through node-llama-cpp, driven by its addon's own calls: one decode per step and no sampling while timing,
// so that what is measured is llama.cpp and not the JavaScript around it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { arch, platform } from "node:process";
import { pathToFileURL } from "node:url";

const version = "3.22.1";
const binaries = { darwin: `mac-${arch}${arch === "arm64" ? "-metal" : ""}`, linux: `linux-${arch}`, win32: `win-${arch}` };

/** Installs node-llama-cpp and its CPU binary below `folder`, from the package registry only. */
function install(folder) {
  const installed = join(folder, "node_modules", "node-llama-cpp", "package.json");
  if (existsSync(installed) && JSON.parse(readFileSync(installed, "utf8")).version === version) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const packages = [`node-llama-cpp@${version}`, `@node-llama-cpp/${binaries[platform]}@${version}`];
  const args = ["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", ...packages];
  const { status } = spawnSync("npm", args, { cwd: folder, stdio: ["ignore", 2, 2], shell: platform === "win32" });
  if (status !== 0) throw new Error(`npm ${args.join(" ")} failed in ${folder}`);
}

export async function openLlamaCpp(folder) {
  install(folder);
  const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
  return getLlama({ build: "never", gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 0 });
}

/** One loaded model with one sequence. */
export async function loadLlamaCpp(llama, path, { threads, context: contextSize }) {
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({ contextSize, batchSize: 512, threads, flashAttention: "auto" });
  const raw = context._ctx;
  const sampler = new llama._bindings.AddonSampler(model._model);
  sampler.applyConfig({ temperature: 0 });
  let length = 0;
  const step = async (ids) => {
    raw.initBatch(ids.length);
    const [output] = raw.addToBatch(0, length, Uint32Array.from(ids), Uint32Array.of(ids.length - 1));
    await raw.decodeBatch();
    length += ids.length;
    return output;
  };
  const reset = () => {
    raw.disposeSequence(0);
    length = 0;
  };
  const logitsAt = async (output) => {
    const [, , , pairs] = await raw.sampleToken(output, sampler, false, false, true);
    const logits = new Float32Array(pairs.length / 2);
    for (let i = 0; i < pairs.length; i += 2) logits[pairs[i]] = pairs[i + 1];
    return logits;
  };
  const greedy = (output) => raw.sampleToken(output, sampler);
  return {
    /** Greedy continuation: its ids, and the milliseconds until the first of them and for the others. */
    async generate(ids, count) {
      reset();
      const start = performance.now();
      const out = [await greedy(await step(ids))];
      const first = performance.now();
      while (out.length < count) out.push(await greedy(await step(out.slice(-1))));
      return { ids: out, prefillMs: first - start, decodeMs: performance.now() - first };
    },
    /** As `generate` for ids that are known beforehand, so that no time is spent on choosing them. */
    async replay(ids, next) {
      reset();
      const start = performance.now();
      await step(ids);
      const first = performance.now();
      for (const id of next) await step([id]);
      return { prefillMs: first - start, decodeMs: performance.now() - first };
    },
    /** Logits after the last id. */
    async lastLogits(ids) {
      reset();
      return logitsAt(await step(ids));
    },
    async dispose() {
      sampler.dispose();
      await context.dispose();
      await model.dispose();
    },
  };
}
