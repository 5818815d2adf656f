import { checkAttrs, dim, type DType, kvFormats, ops, Rng, randomTensor, Tensor, type TensorType } from "@rlxjs/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import { biasedAttention } from "../../ir/src/ops/attention-hard-samples.ts";
import { type AttentionCase, attentionSample } from "../../ir/src/ops/attention-samples.ts";
import { resultsOf, type Case, type Slots, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { integer } from "../../backend-cpu/test/suites/attention-problem.ts";
import { SymbolicOp } from "./symbolic-op.ts";
import { backendOf, describeOnMetal, expectNoFaults, fastest, strictest, type Variant } from "./variants.ts";

const rng = new Rng(23);

function caseOf(name: string, { inputs, attrs }: ReturnType<typeof attentionSample>): Case {
  const named: Readonly<Record<string, Tensor | undefined>> = inputs;
  return { name, slots: ops.attention.inputs.map(({ name: slot }) => named[slot]), attrs: checkAttrs(ops.attention, attrs) };
}
const sampleOf = (c: AttentionCase): Case => caseOf(JSON.stringify(c), attentionSample(rng, c));
/** What is wrong with the results on a variant. */
function wrongOn(variant: Variant, cases: readonly AttentionCase[]): string[] {
  return wrongWith(variant, cases.map(sampleOf));
}
function wrongWith(variant: Variant, samples: readonly Case[]): string[] {
  const wrong = wrongResults(ops.attention, samples, resultsOf(backendOf(variant), ops.attention, samples));
  expectNoFaults();
  return wrong;
}

/** Head sizes that a format takes. */
const dims = (format: string): number[] =>
  format.startsWith("mlx")
    ? [256]
    : format.startsWith("lloyd")
      ? [16, 24, 40, 48, 80, 96, 160]
      : [1, 3, 5, 12, 20, 36, 48, 64, 72, 130, 200];
const groups = [
  [1, 1],
  [2, 2],
  [4, 2],
  [3, 1],
  [7, 1],
  [9, 1],
  [17, 1],
] as const;

const anyCase: fc.Arbitrary<AttentionCase> = fc
  .record({ kv: fc.constantFrom(...kvFormats), capacity: fc.integer({ min: 1, max: 90 }), batch: fc.integer({ min: 1, max: 3 }) })
  .chain(({ kv, capacity, batch }) => {
    const perSequence = (least: number, most: number) =>
      fc.array(fc.integer({ min: least, max: most }), { minLength: batch, maxLength: batch });
    return fc.record(
      {
        kv: fc.constant(kv),
        capacity: fc.constant(capacity),
        batch: fc.constant(batch),
        sq: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 40 })),
        heads: fc.constantFrom(...groups),
        headDim: fc.constantFrom(...dims(kv)),
        q: fc.constantFrom("f32" as const, "f16" as const, "bf16" as const),
        layout: fc.constantFrom("token" as const, "head" as const),
        qPos: perSequence(-5, capacity + 5),
        kvLen: perSequence(0, capacity),
        ringStart: perSequence(0, capacity - 1),
        slots: perSequence(0, 2),
        mask: fc.constantFrom("keys" as const, "keep" as const, "bias" as const),
        sinks: fc.boolean(),
        attrs: fc.record(
          {
            causal: fc.boolean(),
            window: fc.integer({ min: 1, max: 40 }),
            softcap: fc.constantFrom(0.5, 3, 30),
            scale: fc.constantFrom(0.05, 0.4),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: ["kv", "capacity", "batch", "sq", "heads", "headDim", "q"] },
    );
  });

describeOnMetal("attention on random calls", () => {
  test.each([
    [fastest.name, fastest, 60],
    [strictest.name, strictest, 30],
  ] as const)("%s", (_, variant, numRuns) => {
    const holds = fc.property(anyCase, (c) => {
      expect(wrongOn(variant, [c])).toEqual([]);
    });
    fc.assert(holds, { numRuns, seed: 5 });
  });
});

describeOnMetal("attention with heads of every size", () => {
  const wide: AttentionCase = { sq: 35, capacity: 45, heads: [2, 1], kvLen: 40, attrs: { causal: true } };
  test.each<AttentionCase>([
    ...[1, 7, 12, 20, 36, 48, 65, 128, 129, 256, 300, 512].map((headDim) => ({ ...wide, headDim })),
    { ...wide, headDim: 24, valueDim: 512 },
    { ...wide, headDim: 512, valueDim: 9 },
    // The largest tables of codes beside the largest tiles: 32 KiB of threadgroup memory are just enough.
    ...[128, 256, 512].map((headDim): AttentionCase => ({ ...wide, headDim, kv: "lloyd-max-v2:8" })),
    { ...wide, headDim: 512, kv: "mlx-native-v1:8" },
  ])("%j", (c) => {
    expect(wrongOn(strictest, [c, { ...c, sq: 1 }, { ...c, sq: 3 }])).toEqual([]);
  });
});

describeOnMetal("a value that is no number, with a weight that is zero in f32", () => {
  test.each([2, 20])("%i queries", (sq) => {
    const sample = biasedAttention(rng, 0, { sq, capacity: 9, heads: [1, 1], headDim: 8 }, -200);
    expect(wrongWith(strictest, [caseOf(`${sq}`, sample)])).toEqual([]);
  });
});

describeOnMetal("integers that are out of range", () => {
  const call: AttentionCase = { sq: 1, capacity: 300, batch: 3, heads: [4, 2], headDim: 16, kvLen: [300, 7, 9], slots: [0, 1, 2] };
  const wrong = { kvLen: Tensor.from("i32", [3], [300, 301, -1]), slots: Tensor.from("i32", [3], [0, 9, 9]) };
  const text = "kvLen of sequence 1: expected 0 to 300, got 301";

  test.each([1, 40])("the first one is refused, %i queries", (sq) => {
    const sample = sampleOf({ ...call, sq });
    const slots = ops.attention.inputs.map(({ name }, i) => (name === "kvLen" || name === "slots" ? wrong[name] : sample.slots[i]));
    for (const variant of [fastest, strictest]) {
      expect(() => resultsOf(backendOf(variant), ops.attention, [{ ...sample, slots }])).toThrow(text);
      expectNoFaults();
    }
  });
});

describeOnMetal("attention over long caches", () => {
  const causal = { causal: true };
  const long: AttentionCase = { sq: 1, capacity: 4096, heads: [8, 2], headDim: 64, kv: "f16", attrs: causal };
  // One threadgroup has at least 256 keys; lengths around that, splits without keys, and 32 splits of more.
  test.each<AttentionCase>([
    { ...long, heads: [4, 1], batch: 4, kvLen: [4096, 256, 257, 0] },
    { ...long, kvLen: 4000, ringStart: 3333, attrs: { causal: true, window: 700 } },
    { ...long, kvLen: 4001, sinks: true, layout: "head", attrs: { causal: true, softcap: 5 } },
    { ...long, kvLen: 2222, mask: "bias" },
    { ...long, heads: [9, 1], headDim: 48, kv: "lloyd-max-v2:4" },
    { ...long, capacity: 20000, kvLen: 19999, heads: [2, 1], headDim: 36 },
  ])("%j", (c) => {
    expect(wrongOn(strictest, [c])).toEqual([]);
  });
});

describeOnMetal("attention in one program for all lengths", () => {
  const [heads, kvHeads, headDim] = [6, 2, 20];
  const queries = dim("queries", { min: 0, max: 40 });
  const capacity = dim("capacity", { min: 0, max: 700 });
  const attrs = { numHeads: heads, numKvHeads: kvHeads, headDim, causal: true };
  /** Of operands at extents, symbolic ones or numbers. */
  const shapes = (sq: typeof queries | number, slots: typeof capacity | number, dtype: DType): (TensorType | undefined)[] => {
    const cache: TensorType = { dtype, shape: [1, slots, kvHeads * headDim] };
    const named: Readonly<Record<string, TensorType>> = {
      q: { dtype: "f32", shape: [1, sq, heads * headDim] },
      k: cache,
      v: cache,
      kvLen: { dtype: "i32", shape: [] },
    };
    return ops.attention.inputs.map(({ name }) => named[name]);
  };

  // With and without operands that lie at multiples of four elements.
  test.each([
    ["f16", 0, fastest],
    ["f16", 3, strictest],
    ["bf16", 4, strictest],
    ["f32", 1, fastest],
  ] as const)("%s caches, %i elements from the beginning of memory", (dtype, shift, variant) => {
    using op = new SymbolicOp(backendOf(variant), ops.attention, shapes(queries, capacity, dtype), attrs, shift);
    for (const [sq, slots] of [
      [1, 700],
      [2, 257],
      [3, 600],
      [40, 700],
      [7, 7],
      [0, 9],
      [1, 1],
      [4, 0],
    ] as const) {
      const given: Slots = shapes(sq, slots, dtype).map((t, i) =>
        i === 5 ? integer(slots - (slots >> 3)) : t && randomTensor(rng, t.dtype, t.shape.map(Number)),
      );
      expect(op.wrong(given, { queries: sq, capacity: slots })).toEqual([]);
    }
    expectNoFaults();
  });
});
