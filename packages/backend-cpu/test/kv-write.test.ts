import { type AnyOpDef, define, floatDTypes, namedInputs, ops, runReference, Tensor } from "@rlxjs/ir";
import { KernelError, Session } from "@rlxjs/runtime";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkKvModel, commands, shapes } from "../../ir/test/support/kv-model.ts";
import { backends, runOn } from "./every-backend.ts";
import { casesOf, OneOp } from "./one-op.ts";

const writers: readonly AnyOpDef[] = [ops.kvWrite, ops.kvWritePair, ops.kvLinearizeRing];

describe.each(Object.entries(backends))("%s", (_, backend) => {
  const run = runOn(backend);

  test("any writes, ring writes, truncations and linearisations leave what plain lists say", () => {
    fc.assert(
      fc.property(shapes, commands, (shape, list) => checkKvModel(run, shape, list)),
      { numRuns: 80 },
    );
  });

  test.each(writers.map((def) => def.name))("%s: the reference's bytes", (name) => {
    const def = writers.find((d) => d.name === name);
    if (!def) throw new Error(name);
    for (const sample of casesOf(def)) {
      const names = def.traits.writes as readonly string[];
      const copies = sample.slots.map((t) => t && Tensor.fromBytes(t.dtype, t.shape, t.bytes.slice()));
      const named = namedInputs(def, copies);
      const expected = names.map((n) => named[n]).filter((t) => t instanceof Tensor);
      runReference(def, copies, sample.attrs, expected);
      using one = new OneOp(backend, def, sample);
      for (const [i, t] of one.runSync().entries()) expect(t.bytes, sample.name).toEqual(expected[i]?.bytes);
    }
  });

  test("q8_0: blocks of NaN, infinities, ties, tiny and huge values are the reference's bytes", () => {
    const special = [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      127,
      63.5,
      -0.5,
      0.5,
      2 ** -149,
      2 ** -126,
      3e38,
      65504,
      -65520,
      1e-7,
      0.49999997,
      -0,
    ];
    const value = fc.oneof(fc.constantFrom(...special), fc.float(), fc.double({ min: -1, max: 1 }));
    fc.assert(
      fc.property(fc.constantFrom(...floatDTypes), fc.array(value, { minLength: 40, maxLength: 40 }), (dtype, list) => {
        const slots = [Tensor.zeros("q8_0", [1, 1, 64]), Tensor.from(dtype, [1, 1, 40], list), Tensor.from("i32", [], [0])];
        const all = [...slots, undefined, undefined, undefined];
        const attrs = { layout: "token", xLayout: "token", ring: false, trim: false, headDim: 40 };
        const expected = Tensor.zeros("q8_0", [1, 1, 64]);
        runReference(ops.kvWrite, all, attrs, [expected]);
        run(ops.kvWrite, all, attrs);
        expect(slots[0]?.bytes).toEqual(expected.bytes);
      }),
      { numRuns: 60 },
    );
  });
});

test.each(["reference", "native"] as const)(
  "%s: a cache that is written from itself or from the other one is an error",
  async (kernels) => {
    using session = await Session.open({ device: "cpu", kernels });
    const graph = define("aliased", (g) => {
      const [k, v, pos] = [g.state("k", "f32", [1, 2, 2]), g.state("v", "f32", [1, 2, 2]), g.input("pos", "i32", [])];
      const x = g.input("x", "f32", [1, 1, 2]);
      const next = g.kvWritePair(k, v, x, k, pos, { tokens: g.input("tokens", "i32", []) });
      return { k: next.k, v: next.v };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    for (const name of ["k", "v"]) state.write(name, Tensor.from("f32", [1, 2, 2], [1, 2, 3, 4]));
    const x = new Float32Array([5, 6]);
    expect(() => compiled.runSync({ inputs: { x, pos: 0, tokens: 1 }, state })).toThrow(KernelError);
    expect(() => compiled.runSync({ inputs: { x, pos: 0, tokens: 1 }, state })).toThrow(/overlaps/);
    expect(["k", "v"].map((name) => state.read(name).toArray())).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
    const { k } = compiled.runSync({ inputs: { x, pos: 0, tokens: 0 }, state });
    expect(k.toArray()).toEqual([1, 2, 3, 4]);
  },
);
