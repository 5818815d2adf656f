import {
  type Builder,
  checkAttrs,
  type DType,
  define,
  evaluateGraph,
  floatDTypes,
  ops,
  Rng,
  randomTensor,
  runReference,
  Tensor,
  type Value,
} from "@rlxjs/ir";
import { KernelError, Session } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";
import { guarded } from "../../ir/test/support/kv-model.ts";
import { backends, runOn } from "./every-backend.ts";

const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
const bytesOf = (t: Tensor | undefined): number[] => [...(t?.bytes ?? [])];

describe.each(Object.entries(backends))("%s", (_, backend) => {
  const run = runOn(backend);

  test.each([
    ["i32", 2 ** 31 - 4],
    ["u32", 2 ** 31],
    ["u32", 2 ** 32 - 1],
    ["i64", 2 ** 32 + 5],
    ["i64", 2 ** 53 - 1 - 3],
  ] as const)("ring: %s position %d", (dtype, pos) => {
    for (const capacity of [3, 4, 7]) {
      const { tensor: cache, intact } = guarded("f32", [1, capacity, 1]);
      const x = Tensor.from("f32", [1, 3, 1], [1, 2, 3]);
      run(ops.kvWrite, [cache, x, Tensor.from(dtype, [], [pos]), undefined, undefined, undefined], checkAttrs(ops.kvWrite, { ring: true }));
      const expected = new Array<number>(capacity).fill(0);
      for (let t = 0; t < 3; t++) expected[Number((BigInt(pos) + BigInt(t)) % BigInt(capacity))] = t + 1;
      expect(cache.toArray()).toEqual(expected);
      expect(intact()).toBe(true);
    }
  });

  test("a sequence of zero tokens may name any slot, also one that another has", () => {
    const { tensor: cache, intact } = guarded("f16", [2, 2, 1]);
    const x = Tensor.from("f16", [3, 1, 1], [1, 2, 3]);
    const slots = [cache, x, ints(0, -5, 1), ints(1, 1, 0), ints(1, 0, 1), undefined];
    run(ops.kvWrite, slots, checkAttrs(ops.kvWrite, {}));
    expect(cache.toArray()).toEqual([0, 3, 1, 0]);
    expect(intact()).toBe(true);
  });

  test("every pair of dtypes: ties, overflow, subnormals, NaN and infinities are the reference's bits", () => {
    const values = [
      ...[1 + 2 ** -11, 1 + 2 ** -11 + 2 ** -40, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 2 ** -8 + 2 ** -40, 1 + 3 * 2 ** -8],
      ...[65504, 65519.99609375, 65520, -65520, 3.3895313892515355e38, 3.4e38, 1e300, -1e300],
      ...[2 ** -24, 2 ** -25, 2 ** -25 * (1 + 2 ** -30), -(2 ** -14) * (1 - 2 ** -11), 2 ** -133, 2 ** -134, 2 ** -149, 2 ** -150, 5e-324],
      ...[0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    ];
    for (const dtype of [...floatDTypes, "q8_0"] as const satisfies readonly DType[])
      for (const from of floatDTypes) {
        const n = values.length;
        const stored = dtype === "q8_0" ? 32 : n;
        const x = Tensor.from(from, [1, 2, n], [...values, ...values.map((v) => (Number.isFinite(v) ? v : 0))]);
        const places = [Tensor.from("i32", [], [0]), undefined, undefined, undefined];
        const attrs = checkAttrs(ops.kvWrite, { headDim: n });
        const [cache, expected] = [guarded(dtype, [1, 2, stored]), Tensor.zeros(dtype, [1, 2, stored])];
        run(ops.kvWrite, [cache.tensor, x, ...places], attrs);
        runReference(ops.kvWrite, [expected, x, ...places], attrs, [expected]);
        expect(bytesOf(cache.tensor), `${from} into ${dtype}`).toEqual(bytesOf(expected));
        expect(cache.intact()).toBe(true);
      }
  });
});

describe.each(["reference", "native"] as const)("%s graphs", (kernels) => {
  const views: Readonly<Record<string, (g: Builder, cache: Value) => Value>> = {
    "a slice of the cache": (g, cache) => g.slice(cache, { axis: 1, start: 1, size: 2 }),
    "the reshaped cache": (g, cache) => g.reshape(cache, { shape: [1, 4, 2] }),
    "part of a reshaped cache": (g, cache) =>
      g.reshape(g.slice(g.reshape(cache, { shape: [1, 2, 4] }), { axis: 1, start: 1, size: 1 }), { shape: [1, 2, 2] }),
  };
  test.each(Object.entries(views))("%s may be a source", async (_, view) => {
    using session = await Session.open({ device: "cpu", kernels });
    const graph = define("views", (g) => {
      const cache = g.state("cache", "f32", [1, 4, 2]);
      return { next: g.kvWrite(cache, view(g, cache), g.input("pos", "i32", []), { ring: true }) };
    });
    const before = randomTensor(new Rng(3), "f32", [1, 4, 2]);
    const states = new Map([["cache", Tensor.fromBytes("f32", [1, 4, 2], before.bytes.slice())]]);
    evaluateGraph(graph, { inputs: { pos: Tensor.from("i32", [], [3]) }, states });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    state.write("cache", before);
    compiled.runSync({ inputs: { pos: 3 }, state });
    expect(bytesOf(state.read("cache"))).toEqual(bytesOf(states.get("cache")));
  });

  test("a write that fails in the middle of a program leaves its cache, and the ones behind it", async () => {
    using session = await Session.open({ device: "cpu", kernels });
    const graph = define("layers", (g) => {
      const [x, pos] = [g.input("x", "f32", [1, 2, 4]), g.input("pos", "i32", [])];
      const caches = [8, 3, 8].map((capacity, i) => g.state(`k${i}`, "f16", [1, capacity, 4]));
      return Object.fromEntries(caches.map((cache, i) => [`k${i}`, g.kvWrite(cache, x, pos)]));
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    const rng = new Rng(4);
    const before = [8, 3, 8].map((capacity) => randomTensor(rng, "f16", [1, capacity, 4]));
    for (const [i, t] of before.entries()) state.write(`k${i}`, t);
    const x = randomTensor(rng, "f32", [1, 2, 4]);
    expect(() => compiled.runSync({ inputs: { x, pos: 2 }, state })).toThrow(KernelError);
    for (const i of [1, 2]) expect(bytesOf(state.read(`k${i}`))).toEqual(bytesOf(before[i]));
    compiled.runSync({ inputs: { x, pos: 1 }, state });
    for (const i of [0, 1, 2]) expect(bytesOf(state.read(`k${i}`)).slice(8, 24)).toEqual(bytesOf(Tensor.from("f16", [8], x.toArray())));
  });
});
