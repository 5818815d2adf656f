import {
  defineHir,
  evaluateGraph,
  HirError,
  kvFormatBytes,
  type KvFormat,
  lowerHir,
  type ParamTypes,
  Rng,
  randomTensor,
  Tensor,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { config, llama, llamaWeights, plainLlama, typesOf } from "./llama.ts";

const i32 = (shape: number[], values: number[]) => Tensor.from("i32", shape, values);
const largest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((m, v, i) => Math.max(m, Math.abs(v - (b[i] ?? Number.NaN))), 0);

describe("a ring for a sliding window", () => {
  const weights = llamaWeights(3);
  const load = (name: string) => weights.get(name) ?? Tensor.zeros("f32", []);
  const ids = Array.from({ length: 29 }, (_, i) => (i * 17 + 5) % config.vocab);
  const window = 3;
  const expected = plainLlama(weights, ids, window).flat();
  const pieces = [4, 1, 1, 3, 4, 2, 1, 4, 4, 1, 3, 1];

  test.each([
    ["f32", "token", 6, 1e-4],
    ["f32", "head", 9, 1e-4],
    ["q8_0", "head", 6, 0.05],
  ] as const)("%s, %s-major, %i slots: the logits of the whole sequence", (kFormat, layout, capacity, tolerance) => {
    const graph = lowerHir(llama({ window, tokens: 4, cache: { kFormat, layout, capacity, ring: true } }), typesOf(weights));
    const states = new Map<string, Tensor>();
    const rows: number[] = [];
    let pos = 0;
    for (const count of pieces) {
      const inputs = { ids: i32([1, count], ids.slice(pos, pos + count)), pos: i32([], [pos]) };
      rows.push(...(evaluateGraph(graph, { inputs, params: load, states }).logits?.toArray() ?? []));
      pos += count;
    }
    expect(rows.length).toBe(expected.length);
    expect(largest(rows, expected)).toBeLessThan(tolerance);
  });

  test("must hold the window of every token of a run", () => {
    const lower = (capacity: number) =>
      lowerHir(llama({ window, tokens: 4, cache: { kFormat: "f32", layout: "head", capacity, ring: true } }), typesOf(weights));
    expect(() => lower(5)).toThrow("capacity: expected a number of at least window + tokens - 1 = 3 + 4 - 1 = 6, got 5");
    const endless = () => lowerHir(llama({ cache: { kFormat: "f32", layout: "head", ring: true } }), typesOf(weights));
    expect(endless).toThrow("a ring needs the attribute window");
  });
});

describe("formats of the cache", () => {
  const [batch, heads, kvHeads, headDim, width, capacity, tokens] = [2, 4, 2, 32, 24, 9, 7];
  const rng = new Rng(11);
  const weights = new Map([
    ["q", randomTensor(rng, "f32", [heads * headDim, width], 0.3)],
    ["k", randomTensor(rng, "f32", [kvHeads * headDim, width], 0.3)],
    ["v", randomTensor(rng, "f32", [kvHeads * headDim, width], 0.3)],
    ["o", randomTensor(rng, "f32", [width, heads * headDim], 0.3)],
  ]);
  const types: ParamTypes = (name) => weights.get(name);
  const x = randomTensor(rng, "f32", [batch, tokens, width]);
  const layer = (kFormat: string, vFormat: string | undefined, layout: "token" | "head") =>
    defineHir("layer", (h) => {
      const operands = { pos: h.input("pos", "i32", [batch]), q: "q", k: "k", v: "v", o: "o" };
      const cache = { pastK: "k0", pastV: "v0", capacity, kFormat, vFormat, layout };
      return h.attention(h.input("x", "f32", [batch, tokens, width]), {
        ...operands,
        ...cache,
        numHeads: heads,
        numKvHeads: kvHeads,
        headDim,
      });
    });
  const run = (kFormat: string, vFormat: string | undefined, layout: "token" | "head") => {
    const states = new Map<string, Tensor>();
    const graph = lowerHir(layer(kFormat, vFormat, layout), types);
    const inputs = { x, pos: i32([batch], [0, 2]) };
    const { out } = evaluateGraph(graph, { inputs, params: (name) => weights.get(name) ?? x, states });
    return { out: out?.toArray() ?? [], states };
  };
  const exact = run("f32", undefined, "token").out;
  const peak = Math.max(...exact.map(Math.abs));

  test.each<[KvFormat, KvFormat | undefined, number]>([
    ["f32", undefined, 1e-6],
    ["f16", undefined, 1e-3],
    ["bf16", "f32", 1e-2],
    ["q8_0", undefined, 1e-2],
    ["lloyd-max-v2:8", undefined, 2e-2],
    ["lloyd-max-v2:4", undefined, 0.3],
    ["q8_0", "lloyd-max-v2:6", 0.1],
    ["lloyd-max-v2:5", "f16", 0.2],
  ])("%s and %s: near f32 in both layouts, in states of the format's bytes", (k, v, share) => {
    const vectors = batch * kvHeads * capacity;
    const [token, head] = [run(k, v, "token"), run(k, v, "head")];
    expect(largest(token.out, head.out)).toBeLessThan(1e-6 * peak);
    expect(largest(token.out, exact)).toBeLessThanOrEqual(share * peak);
    for (const { states } of [token, head]) {
      const bytes = (side: "k0" | "v0"): number => (states.get(side)?.bytes.length ?? 0) + (states.get(`${side}.norms`)?.bytes.length ?? 0);
      expect([bytes("k0"), bytes("v0")]).toEqual([vectors * kvFormatBytes(k, headDim), vectors * kvFormatBytes(v ?? k, headDim)]);
      expect(states.has("k0.norms")).toBe(k.includes(":"));
    }
  });

  test("one that does not exist, or does not take the head dim, names the block", () => {
    expect(() => lowerHir(layer("q4_0", undefined, "head"), types)).toThrow(HirError);
    expect(() => lowerHir(layer("q4_0", undefined, "head"), types)).toThrow("format: expected one of f32, f16, bf16, q8_0");
    expect(() => lowerHir(layer("f16", "mlx-native-v1:4", "head"), types)).toThrow(
      "headDim: expected one of 256, 512 for mlx-native-v1, got 32",
    );
  });
});
