import { define, dim, evaluateGraph, randomTensor, Rng, Tensor } from "@rlxjs/ir";
import { Session, WeightStore } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const STEPS = 500;
const seq = dim("seq", { min: 1, max: STEPS });
const shape = { numHeads: 4, numKvHeads: 2, headDim: 8 } as const;

/** One attention layer over a cache: enough to see that position, cache and extent go together. */
const layer = define("layer", (g) => {
  const x = g.input("x", "f32", [1, seq, 16]);
  const pos = g.input("pos", "i32", []);
  const project = (name: string, rows: number) => g.linear(x, g.param(name, "f32", [rows, 16]));
  const cache = (name: string, value: string) => g.kvWrite(g.state(name, "f32", [1, STEPS, 16]), project(value, 16), pos, { headDim: 8 });
  const kvLen = g.add(pos, g.input("rows", "i32", []));
  return { y: g.attention(project("q", 32), cache("keys", "k"), cache("values", "v"), { ...shape, qPos: pos, kvLen, causal: true }) };
});

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  const rng = new Rng(3);
  const params = { q: randomTensor(rng, "f32", [32, 16]), k: randomTensor(rng, "f32", [16, 16]), v: randomTensor(rng, "f32", [16, 16]) };
  const weights = new WeightStore(params);
  afterAll(() => {
    weights[Symbol.dispose]();
    session[Symbol.dispose]();
  });

  test("500 decode steps: one compile, no copies of the cache, and the rows of one prefill", async () => {
    using compiled = await session.compile(layer, { weights });
    using decode = session.createState(compiled);
    using prefill = session.createState(compiled);
    const x = randomTensor(rng, "f32", [1, STEPS, 16]);
    const whole = await compiled.run({ inputs: { x, pos: 0, rows: STEPS }, state: prefill });
    const before = compiled.stats();
    const steps = new Float32Array(STEPS * 32);
    for (let pos = 0; pos < STEPS; pos++) {
      const row = Tensor.fromBytes("f32", [1, 1, 16], x.bytes.subarray(pos * 64, (pos + 1) * 64));
      await compiled.run({ inputs: { x: row, pos, rows: 1 }, state: decode, into: { y: steps.subarray(pos * 32, (pos + 1) * 32) } });
    }
    const after = compiled.stats();
    expect([after.compiles, after.runs - before.runs, after.stateCopies]).toEqual([1, STEPS, 0]);
    if (kernels === "native") {
      expect(after.hostSteps).toBe(0);
      expect(after.nativeCalls - before.nativeCalls).toBe(STEPS);
    }
    const inputs = { x, pos: Tensor.from("i32", [], [0]), rows: Tensor.from("i32", [], [STEPS]) };
    const expected = evaluateGraph(layer, { inputs, params: (n) => params[n as keyof typeof params] }).y;
    for (const [i, v] of (expected?.toArray() ?? []).entries()) {
      expect(Math.abs(whole.y.get(i) - v)).toBeLessThan(1e-4);
      expect(Math.abs((steps[i] ?? Number.NaN) - v)).toBeLessThan(1e-4);
    }
    const [row, rows] = [decode.read("keys"), prefill.read("keys")];
    for (let i = 0; i < row.size; i++) expect(Math.abs(row.get(i) - rows.get(i))).toBeLessThan(1e-4);
  });
});
