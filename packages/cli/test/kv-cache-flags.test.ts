import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KvCacheOption } from "@rlxjs/models-core";
import { loadModel } from "@rlxjs/models-core/node";
import "@rlxjs/backend-cpu";
import { afterAll, expect, test } from "vitest";
import { demo, rlxjs, root } from "./cli.ts";

const dir = mkdtempSync(join(tmpdir(), "rlxjs-kv-"));
afterAll(() => rmSync(dir, { recursive: true }));

const heads = 6 * 2; // layers and KV heads of the demo model, head dim 48
const bytes = { f32: 192, f16: 96, bf16: 96, q8_0: 68, tq8: 52, tq6: 40, tq5: 34, tq4: 28 };
const full = (name: string): string => name.replace(/^tq/, "lloyd-max-v2:");

test.each(Object.entries(bytes))("run --kv-cache %s", async (format, each) => {
  const { code, stdout } = await rlxjs(["run", demo, "-p", "Once upon a time", "-n", "8", "--kv-cache", format, "--json"]);
  expect(code).toBe(0);
  const { ids, kvCache } = JSON.parse(stdout);
  expect(ids).toHaveLength(8);
  expect(kvCache).toEqual({ k: full(format), v: full(format), bytesPerToken: heads * 2 * each });
});

test.each([
  [["--kv-cache-k", "q8_0"], "q8_0", "f16"],
  [["--kv-cache", "tq5", "--kv-cache-k", "bf16"], "bf16", "tq5"],
  [["--kv-cache-k", "lloyd-max-v2:6", "--kv-cache-v", "tq4"], "tq6", "tq4"],
] as const)("bench %j measures keys in %s, values in %s", async (args, k, v) => {
  const size = ["--prompt", "8", "--gen", "2", "--rounds", "1"];
  const { code, stdout } = await rlxjs(["bench", demo, ...size, ...args, "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ kvCacheK: full(k), kvCacheV: full(v), kvCacheBytesPerToken: heads * (bytes[k] + bytes[v]) });
});

test.each<[string[], KvCacheOption]>([
  [[], "f32"],
  [["--kv-cache-v", "tq4"], { k: "f32", v: "tq4" }],
])("logits %j are those of the option", async (args, kvCache) => {
  const [list, out] = [join(dir, "ids.txt"), join(dir, "logits.bin")];
  writeFileSync(list, "1 2 3 40 500");
  expect((await rlxjs(["logits", demo, "--ids-file", list, "--out", out, ...args])).code).toBe(0);
  using model = await loadModel(join(root, demo), { kvCache });
  const { bytes } = await model.logits([1, 2, 3, 40, 500]);
  expect(readFileSync(out).equals(bytes)).toBe(true);
});
