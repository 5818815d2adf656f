import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAddon } from "@rlxjs/backend-cpu";
import { loadMetalAddon } from "@rlxjs/backend-metal";
import { define, serializeGraph } from "@rlxjs/ir";
import { afterAll, expect, test } from "vitest";
import { demo, rlxjs, root } from "./cli.ts";

const dir = mkdtempSync(join(tmpdir(), "rlxjs-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const prompt = "Once upon a time, there was";

test("run streams the prompt and its continuation, and tells the speed on stderr", async () => {
  const pieces: string[] = [];
  const { code, stdout, stderr } = await rlxjs(["run", demo, "-p", prompt, "-n", "24"], (text) => pieces.push(text));
  expect(code).toBe(0);
  expect(stdout.startsWith(`${prompt} `)).toBe(true);
  expect(pieces.length).toBeGreaterThan(2);
  expect(stderr).toMatch(/24 tokens at \d+\/s/);
});

test("run --json is one object, the same for one seed", async () => {
  const args = ["run", "-p", prompt, "-n", "12", "--temperature", "0.9", "--top-k", "20", "--seed", "3", "--json"];
  const [a, b] = await Promise.all([rlxjs(args), rlxjs(args)]);
  const [x, y] = [JSON.parse(a.stdout), JSON.parse(b.stdout)];
  expect(x).toMatchObject({ prompt, generatedTokens: 12, finishReason: "max-tokens" });
  expect(x.ids).toHaveLength(12);
  expect(y.ids).toEqual(x.ids);
});

test("Ctrl-C stops within a token", async () => {
  let stopped = 0;
  const { code, stderr } = await rlxjs(["run", "-p", prompt, "--kernels", "reference"], (_, interrupt) => {
    if (stopped === 0) interrupt();
    stopped = performance.now();
  });
  expect(code).toBe(130);
  expect(stderr).toBe("");
  expect(stopped).toBeGreaterThan(0);
});

test.each(["native", "reference"])("logits of %s kernels are the same by prefill and by decode", async (kernels) => {
  const ids = join(dir, "ids.txt");
  writeFileSync(ids, "1, 2 3\n40\t500,\n");
  const read = async (mode: string): Promise<Float32Array> => {
    const out = join(dir, `${kernels}-${mode}.bin`);
    const result = await rlxjs(["logits", demo, "--ids-file", ids, "--out", out, "--mode", mode, "--kernels", kernels]);
    expect(result.code).toBe(0);
    return new Float32Array(new Uint8Array(readFileSync(out)).buffer);
  };
  const [full, decode] = [await read("full"), await read("decode")];
  expect(full).toHaveLength(5 * 1024);
  const peak = full.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  expect(full.reduce((m, v, i) => Math.max(m, Math.abs(v - (decode[i] ?? Number.NaN))), 0)).toBeLessThan(1e-3 * peak);
});

test("bench measures", async () => {
  const { code, stdout } = await rlxjs(["bench", demo, "--prompt", "16", "--gen", "4", "--rounds", "1", "--threads", "1", "--json"]);
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ promptTokens: 16, generatedTokens: 4, threads: 1 });
  for (const key of ["prefillTokensPerSecond", "decodeTokensPerSecond", "loadMs", "compileMs", "peakRssBytes"])
    expect(result[key]).toBeGreaterThan(0);
  // The matrices of a 5.6 M parameter model in q8_0, and of the embedding table one row.
  expect(result.weightBytesPerToken).toBeGreaterThan(5.5e6);
  expect(result.weightBytesPerToken).toBeLessThan(6.1e6);
  expect(result.readBandwidth !== null).toBe(loadAddon().addon !== undefined);
});

test.each([
  [["inspect"], /llama, 5\.6 M parameters.*tokenizer: 1024 tokens.*model\.embed_tokens\.weight +Q8_0/s],
  [["inspect", demo, "--hir"], /^hir "llama\.decode"/],
  [["inspect", demo, "--program"], /^program "llama\.decode"/],
  [["inspect", demo, "--mermaid"], /^flowchart/],
])("%j", async (args, expected) => {
  const { code, stdout } = await rlxjs(args);
  expect(stdout).toMatch(expected);
  expect(code).toBe(0);
});

test("inspect shows a graph file and its program", async () => {
  const file = join(dir, "double.rlxg");
  writeFileSync(
    file,
    serializeGraph(
      define("double", (g) => {
        const x = g.input("x", "f32", [2]);
        return g.add(x, x);
      }),
    ),
  );
  expect((await rlxjs(["inspect", file])).stdout).toMatch(/^graph "double"\n.*add\(/s);
  expect((await rlxjs(["inspect", file, "--program"])).stdout).toMatch(/^program "double"/);
});

test("devices: what can be opened, and why others cannot", async () => {
  const found: { device: string; description?: string; unavailable?: string }[] = JSON.parse((await rlxjs(["devices", "--json"])).stdout);
  expect(found.map(({ device }) => device)).toEqual(["cpu", "metal"]);
  const lines = found.map(({ device, description, unavailable }) => `${device}  ${description ?? `not available: ${unavailable}`}\n`);
  expect((await rlxjs(["devices"])).stdout).toBe(lines.join(""));
  const metal = found[1];
  if (process.platform === "linux")
    expect(metal?.description ?? metal?.unavailable).toMatch(/^software Metal, for testing$|npm run build:metal/);
});

test("metal is opened when it is asked for, and only then", async () => {
  const { addon } = loadMetalAddon();
  const result = await rlxjs(["run", "--device", "metal", "-p", prompt, "-n", "2", "--json"]);
  if (!addon) return expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining('device "metal": no addon for Metal') });
  expect(JSON.parse(result.stdout)).toMatchObject({
    generatedTokens: 2,
    device: expect.stringMatching(addon.software ? /^software Metal/ : /^Apple/),
  });
  const cpu = JSON.parse((await rlxjs(["run", "-p", prompt, "-n", "2", "--json"])).stdout);
  expect(cpu.device).not.toMatch(/Metal/);
  expect(JSON.parse(result.stdout).ids).toEqual(cpu.ids);
});

test("bench counts what the GPU does", async () => {
  if (!loadMetalAddon().addon) return expect(loadMetalAddon().reason).toContain("rlxjs_metal.node");
  const bench = ["bench", demo, "--device", "metal", "--prompt", "4", "--gen", "3", "--rounds", "1"];
  const { stdout } = await rlxjs([...bench, "--json"]);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ commandBuffersPerToken: 1, copiedBytesPerToken: 12 });
  // Six layers.
  expect(result.launchesPerToken).toBeGreaterThan(6 * 8);
  for (const key of ["gpuMicrosPerToken", "barriersPerToken", "readBandwidth", "decodeTokensPerSecond"])
    expect(result[key]).toBeGreaterThan(0);
});

test("convert writes the demo model as it is in the repository", async () => {
  const out = join(dir, "demo.gguf");
  const { code, stdout } = await rlxjs(["convert", "packages/models-core/test/fixtures/demo-model", out, "--type", "q8_0"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/llama, \d+ tensors/);
  expect((await rlxjs(["inspect", out])).stdout).toMatch(/5\.6 M parameters/);
  expect(readFileSync(out).byteLength).toBe(readFileSync(join(root, demo)).byteLength);
});
