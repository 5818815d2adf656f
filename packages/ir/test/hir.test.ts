import {
  blocks,
  defineHir,
  evaluateGraph,
  HirError,
  lowerHir,
  MissingWeightError,
  printHir,
  Tensor,
  verifyGraph,
  weightNames,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { config, llama, llamaWeights, plainLlama, typesOf } from "./llama.ts";

const ids = [3, 17, 42, 5, 5, 30, 11, 0, 47];
const i32 = (shape: number[], values: number[]) => Tensor.from("i32", shape, values);
const load = (weights: ReadonlyMap<string, Tensor>) => (name: string) => weights.get(name) ?? Tensor.zeros("f32", []);

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const worst = Math.max(...actual.map((v, i) => Math.abs(v - (expected[i] ?? Number.NaN))));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe("a llama in blocks", () => {
  const weights = llamaWeights(1);
  const oracle = plainLlama(weights, ids).flat();

  test("one pass over the sequence gives the logits of plain arrays", () => {
    const graph = lowerHir(llama(), typesOf(weights));
    verifyGraph(graph);
    const { logits } = evaluateGraph(graph, { inputs: { ids: i32([1, ids.length], ids), pos: i32([], [0]) }, params: load(weights) });
    expect(logits?.shape).toEqual([1, ids.length, config.vocab]);
    expectClose(logits?.toArray() ?? [], oracle, 1e-4);
  });

  test.each(["token", "head"] as const)("through a %s-major KV cache, in pieces, the logits are the same", (layout) => {
    const graph = lowerHir(llama({ cache: { kFormat: "f32", layout } }), typesOf(weights));
    verifyGraph(graph);
    const states = new Map<string, Tensor>();
    const rows: number[] = [];
    for (const [from, to] of [
      [0, 4],
      [4, 5],
      [5, 6],
      [6, 9],
    ] as const) {
      const inputs = { ids: i32([1, to - from], ids.slice(from, to)), pos: i32([], [from]) };
      rows.push(...(evaluateGraph(graph, { inputs, params: load(weights), states }).logits?.toArray() ?? []));
    }
    expectClose(rows, oracle, 1e-4);
    expect([...states.keys()]).toEqual(["past_k_0", "past_v_0", "past_k_1", "past_v_1"]);
    const { capacity, kvHeads, headDim } = config;
    expect(states.get("past_k_0")?.shape).toEqual(layout === "token" ? [1, capacity, kvHeads * headDim] : [1, kvHeads, capacity, headDim]);
  });

  test("a sliding window hides older keys, with and without the cache", () => {
    const expected = plainLlama(weights, ids, 3).flat();
    const whole = lowerHir(llama({ window: 3 }), typesOf(weights));
    const cached = lowerHir(llama({ window: 3, cache: { kFormat: "f32", layout: "token" } }), typesOf(weights));
    for (const graph of [whole, cached]) {
      const inputs = { ids: i32([1, ids.length], ids), pos: i32([], [0]) };
      expectClose(evaluateGraph(graph, { inputs, params: load(weights) }).logits?.toArray() ?? [], expected, 1e-4);
    }
  });

  test.each(["f16", "bf16", "q8_0", "q4_0"] as const)("the same module serves a checkpoint in %s", (dtype) => {
    const packed = llamaWeights(1, dtype);
    const graph = lowerHir(llama(), typesOf(packed));
    const { logits } = evaluateGraph(graph, { inputs: { ids: i32([1, ids.length], ids), pos: i32([], [0]) }, params: load(packed) });
    expectClose(logits?.toArray() ?? [], plainLlama(packed, ids).flat(), 1e-3);
  });

  test("every node says which block it came from", () => {
    const graph = lowerHir(llama({ cache: { kFormat: "f16", layout: "token" } }), typesOf(weights));
    const origins = new Set(graph.nodes.map((n) => n.origin));
    expect([...origins]).toEqual([
      "input",
      "constant",
      "rope_tables",
      "embedding",
      ...[0, 1].flatMap((i) => ["rms_norm", "attention", "residual_rms_norm", "swiglu", "op:add"].map((b) => `layers.${i}/${b}`)),
      "rms_norm",
      "lm_head",
    ]);
    expect(graph.nodes.filter((n) => n.op === "kv_write_pair").map((n) => n.origin)).toEqual(["layers.0/attention", "layers.1/attention"]);
  });

  test("weight names, in order of use", () => {
    expect(weightNames(llama()).slice(0, 6)).toEqual(["embed", "0.norm1", "0.q", "0.k", "0.v", "0.o"]);
    expect(weightNames(llama()).length).toBe(weights.size);
  });
});

describe("errors name the block and the weight", () => {
  const module = defineHir("m", (h) => {
    const x = h.input("x", "f32", [2, 4]);
    return h.scope("layers.7", () => h.scope("mlp", () => h.linear(x, { weight: "w", bias: "b", outFeatures: 3, label: "up" })));
  });
  const lower = (types: Record<string, number[]>) => () =>
    lowerHir(module, (name) => (types[name] ? { dtype: "f32", shape: types[name] } : undefined));

  test("missing", () => {
    expect(lower({ w: [3, 4] })).toThrow(MissingWeightError);
    expect(lower({ w: [3, 4] })).toThrowErrorMatchingInlineSnapshot(
      `[MissingWeightError: hir "m": layers.7/mlp/linear:up: no weight "b" in the checkpoint]`,
    );
  });
  test("of another shape", () => {
    expect(lower({ w: [5, 4], b: [5] })).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": layers.7/mlp/linear:up (w, b): [linear] weight: expected 3 rows, got f32[5, 4]]`,
    );
    expect(lower({ w: [3, 5], b: [3] })).toThrow(HirError);
    expect(lower({ w: [3, 5], b: [3] })).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": layers.7/mlp/linear:up (w, b): [linear] x: expected a last extent of 5, as in w f32[3, 5], got f32[2, 4]]`,
    );
  });
  test("half a pair is a mistake, not none", () => {
    const attention = (more: object, names: readonly string[]) => () =>
      lowerHir(
        defineHir("m", (h) => {
          const x = h.input("x", "f32", [1, 2, 4]);
          const pairs = Object.fromEntries(names.map((name) => [name, h.input(name, "f32", [2, 1])]));
          return h.attention(x, { q: "w", k: "w", v: "w", o: "w", numHeads: 2, headDim: 2, ...pairs, ...more });
        }),
        () => ({ dtype: "f32", shape: [4, 4] }),
      );
    expect(attention({ pastK: "k" }, [])).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": attention (w, w, w, w): [attention] a KV cache needs the names of both states, pastK and pastV]`,
    );
    expect(attention({}, ["cos"])).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": attention (w, w, w, w): [attention] rope needs both tables, cos and sin]`,
    );
    expect(attention({}, ["cos", "sin"])).not.toThrow();
  });
  test("calls are checked when they are made", () => {
    expect(() => defineHir("m", (h) => h.rmsNorm(h.input("x", "f32", [4]), { weight: 3 as never }))).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": rmsNorm: weight "weight": expected the name of a weight, got 3]`,
    );
    expect(() => defineHir("m", (h) => h.rmsNorm(undefined as never, { weight: "w" }))).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": rmsNorm: operand "x": expected a value of the module, got undefined]`,
    );
    const extra = { weight: "w", gain: 2 };
    expect(() => defineHir("m", (h) => h.rmsNorm(h.input("x", "f32", [4]), extra))).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [rms_norm] unknown attribute "gain": expected eps, offset, weight]`,
    );
    expect(() => defineHir("m", (h) => ({ a: h.input("x", "f32", [4]), b: h.input("x", "f32", [4]) }))).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "m": input "x" is defined twice]`,
    );
    expect(() => defineHir("m", () => ({}))).toThrowErrorMatchingInlineSnapshot(`[HirError: hir "m": has no outputs]`);
  });
  test("a value of another module", () => {
    const values: unknown[] = [];
    defineHir("a", (h) => {
      values.push(h.input("x", "f32", [4]));
      return values[0] as never;
    });
    expect(() => defineHir("b", (h) => h.ops.exp(values[0] as never))).toThrowErrorMatchingInlineSnapshot(
      `[HirError: hir "b": an input of op belongs to module "a"]`,
    );
  });
});

describe("blocks", () => {
  /** Run a one-input module on x [rows, k] with weights of given values. */
  const run = (body: Parameters<typeof defineHir>[1], x: Tensor, weights: Record<string, Tensor>) => {
    const graph = lowerHir(defineHir("m", body), (name) => weights[name]);
    verifyGraph(graph);
    return evaluateGraph(graph, { inputs: { x }, params: (name) => weights[name] ?? Tensor.zeros("f32", []) });
  };
  const f32 = (shape: number[], values: number[]) => Tensor.from("f32", shape, values);

  test("rmsNorm with an offset adds to the weight, which stays a weight expression", () => {
    const module = defineHir("m", (h) => h.rmsNorm(h.input("x", "f32", [1, 2]), { weight: "w", offset: 1, eps: 0 }));
    const graph = lowerHir(module, () => ({ dtype: "bf16", shape: [2] }));
    expect(graph.nodes.map((n) => n.op)).toEqual(["input", "param", "cast", "constant", "add", "rms_norm"]);
    const { out } = evaluateGraph(graph, { inputs: { x: f32([1, 2], [3, 3]) }, params: () => Tensor.from("bf16", [2], [0.5, -1]) });
    expect(out?.toArray()).toEqual([1.5, 0]);
  });

  test("linear with bias and activation", () => {
    const weights = { w: f32([2, 2], [1, 1, 1, -1]), b: Tensor.from("f16", [2], [0.5, 0]) };
    const { out } = run(
      (h) => h.linear(h.input("x", "f32", [1, 2]), { weight: "w", bias: "b", activation: "relu" }),
      f32([1, 2], [1, 2]),
      weights,
    );
    expect(out?.toArray()).toEqual([3.5, 0]);
  });

  test("lmHead picks the last rows and caps", () => {
    const weights = { w: f32([1, 1], [1]) };
    const { out } = run(
      (h) => h.lmHead(h.input("x", "f32", [1, 3, 1]), { weight: "w", last: 1, softcap: 2 }),
      f32([1, 3, 1], [9, 9, 3]),
      weights,
    );
    expect(out?.shape).toEqual([1, 1, 1]);
    expect(out?.get(0)).toBeCloseTo(2 * Math.tanh(1.5), 6);
  });

  test("geglu, plain mlp", () => {
    const weights = { one: f32([1, 1], [1]), two: f32([1, 1], [2]) };
    const x = f32([1, 1], [1.5]);
    const exact = run((h) => h.geglu(h.input("x", "f32", [1, 1]), { gate: "one", up: "two", down: "one", activation: "gelu" }), x, weights);
    expect(exact.out?.get(0)).toBeCloseTo(1.5 * 0.9331927987311419 * 3, 5); // x Phi(x)
    const tanh = run((h) => h.geglu(h.input("x", "f32", [1, 1]), { gate: "one", up: "two", down: "one" }), x, weights);
    expect(tanh.out?.get(0)).toBeCloseTo(1.39957 * 3, 3);
    const plain = run((h) => h.mlp(h.input("x", "f32", [1, 1]), { up: "two", down: "two", activation: "relu", downBias: "b" }), x, {
      ...weights,
      b: f32([1], [0.25]),
    });
    expect(plain.out?.toArray()).toEqual([6.25]);
  });

  test("moe: a stacked weight and a list of matrices are the same; only the top k count", () => {
    const router = f32([3, 2], [1, 0, 0, 1, -1, -1]);
    const experts = [1, 2, 3].map((s) => f32([2, 2], [s, 0, 0, s]));
    const stacked = f32(
      [3, 2, 2],
      experts.flatMap((t) => t.toArray()),
    );
    const x = f32([1, 2], [1, 2]);
    const args = { router: "router", topK: 2 } as const;
    const list = ["e0", "e1", "e2"];
    const a = run((h) => h.moe(h.input("x", "f32", [1, 2]), { ...args, gate: list, up: list, down: list }), x, {
      router,
      ...Object.fromEntries(experts.map((t, i) => [`e${i}`, t])),
    });
    const b = run((h) => h.moe(h.input("x", "f32", [1, 2]), { ...args, gate: "e", up: "e", down: "e" }), x, { router, e: stacked });
    expect(a.out?.toArray()).toEqual(b.out?.toArray());
    const silu = (v: number) => v / (1 + Math.exp(-v));
    const p = [Math.exp(2) / (Math.exp(2) + Math.exp(1)), Math.exp(1) / (Math.exp(2) + Math.exp(1))] as const; // experts 1 and 0
    const expected = [1, 2].map((v) => p[0] * 2 * silu(2 * v) * 2 * v + p[1] * silu(v) * v);
    expectClose(a.out?.toArray() ?? [], expected, 1e-5);
  });

  test("attention: norm per head, keep mask, no rope, both directions", () => {
    const eye = f32([2, 2], [1, 0, 0, 1]);
    const x = f32([1, 3, 2], [1, 0, 0, 1, 5, 5]);
    const keep = Tensor.from("bool", [1, 3], [1, 1, 0]);
    const { out } = run(
      (h) =>
        h.attention(h.input("x", "f32", [1, 3, 2]), {
          mask: h.constant(keep),
          q: "eye",
          k: "eye",
          v: "eye",
          o: "eye",
          qNorm: "n",
          kNorm: "n",
          normEps: 0,
          numHeads: 1,
          headDim: 2,
          causal: false,
          scale: 1,
        }),
      x,
      { eye, n: f32([2], [1, 1]) },
    );
    const w = Math.exp(2) / (Math.exp(2) + 1); // normed rows are sqrt(2) long: q.k = 2 or 0
    expectClose(out?.toArray() ?? [], [w, 1 - w, 1 - w, w, 0.5, 0.5], 1e-6);
  });

  test("weights may be values made of weights", () => {
    const weights = { fused: f32([2, 1], [3, 5]) };
    const { out } = run(
      (h) => h.linear(h.input("x", "f32", [1, 1]), { weight: h.ops.slice(h.param("fused"), { axis: 0, start: 1, size: 1 }) }),
      f32([1, 1], [2]),
      weights,
    );
    expect(out?.toArray()).toEqual([10]);
  });

  test("the table is consistent: names are unique and every record has a doc", () => {
    const names = Object.values(blocks).map((d) => d.name);
    expect(new Set(names).size).toBe(names.length);
    for (const def of Object.values(blocks)) expect(def.doc.length).toBeGreaterThan(10);
  });
});

test("a module prints", () => {
  const module = defineHir("m", (h) => {
    const x = h.input("x", "f32", [2, 4]);
    return h.scope("layers.0", () => h.ops.add(h.rmsNorm(x, { weight: "w" }), 1));
  });
  expect(printHir(module)).toMatchInlineSnapshot(`
    "hir "m"
      %0 = input() {name: "x", dtype: "f32", shape: [2, 4]}
      layers.0:
        %1 = rms_norm(%0) {weight: "w", eps: 0.000001, offset: 0}
        %2 = op(%1, _) {op: "add", attrs: {}, numbers: {"1": 1}} label "add"
      output "out" %2
    "
  `);
});
