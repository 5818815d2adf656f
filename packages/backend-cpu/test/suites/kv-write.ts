import { type AnyOpDef, checkAttrs, type DType, floatDTypes, isFloat, namedInputs, ops, runReference, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkKvModel, guarded, kvCommands, kvShapes } from "../../../ir/test/support/kv-model.ts";
import { ints, type RunInto } from "../../../ir/test/support/quantized.ts";
import { casesOf } from "../one-op.ts";

const writers: readonly AnyOpDef[] = [ops.kvWrite, ops.kvWritePair, ops.kvLinearizeRing];
const bytesOf = (t: Tensor | undefined): number[] => [...(t?.bytes ?? [])];

/** What writes into KV caches of floats and of q8_0 do, wherever they run; `dtypes`: floats that the device computes with. */
export function kvWriteSuite(
  run: RunInto,
  { dtypes = floatDTypes, numRuns = 80 }: { readonly dtypes?: readonly DType[]; readonly numRuns?: number } = {},
): void {
  test("any writes, ring writes, truncations and linearisations leave what plain lists say", () => {
    fc.assert(
      fc.property(kvShapes(dtypes), kvCommands(dtypes), (shape, list) => checkKvModel(run, shape, list)),
      { numRuns },
    );
  });

  test.each(writers.map((def) => [def.name, def] as const))("%s: the reference's bytes", (_, def) => {
    for (const sample of casesOf(def)) {
      if (sample.slots.some((t) => t && isFloat(t.dtype) && !dtypes.includes(t.dtype))) continue;
      const [copies, expected] = [0, 1].map(() => sample.slots.map((t) => t && Tensor.fromBytes(t.dtype, t.shape, t.bytes.slice())));
      if (!copies || !expected) continue;
      const named = namedInputs(def, expected);
      const written = (def.traits.writes as readonly string[]).map((n) => named[n]).filter((t) => t instanceof Tensor);
      runReference(def, expected, sample.attrs, written);
      run(def, copies, sample.attrs);
      expect(copies.map(bytesOf), sample.name).toEqual(expected.map(bytesOf));
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
      fc.property(fc.constantFrom(...dtypes), fc.array(value, { minLength: 40, maxLength: 40 }), (dtype, list) => {
        const slots = [Tensor.zeros("q8_0", [1, 1, 64]), Tensor.from(dtype, [1, 1, 40], list), Tensor.from("i32", [], [0])];
        const all = [...slots, undefined, undefined, undefined];
        const attrs = { layout: "token", xLayout: "token", ring: false, trim: false, headDim: 40 };
        const expected = Tensor.zeros("q8_0", [1, 1, 64]);
        runReference(ops.kvWrite, all, attrs, [expected]);
        run(ops.kvWrite, all, attrs);
        expect(slots[0]?.bytes).toEqual(expected.bytes);
      }),
      { numRuns },
    );
  });

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
    for (const dtype of [...dtypes, "q8_0"] as const satisfies readonly DType[])
      for (const from of dtypes) {
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
}
