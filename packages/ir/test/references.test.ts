import {
  type AnyOpDef,
  type AttrRecord,
  checkAttrs,
  checkInputs,
  dim,
  ops,
  RunError,
  renderOpTable,
  runReference,
  Tensor,
  visible,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

/** Run an op on tensors; returns its outputs as plain lists. */
function run(def: AnyOpDef, inputs: readonly (Tensor | undefined)[], given: AttrRecord = {}): number[][] {
  const attrs = checkAttrs(def, given);
  const outs = checkInputs(def, inputs, attrs).map((t) => Tensor.zeros(t.dtype, t.shape as number[]));
  runReference(def, inputs, attrs, outs);
  return outs.map((t) => t.toArray());
}
const f32 = (shape: number[], values: number[]): Tensor => Tensor.from("f32", shape, values);
const i32 = (shape: number[], values: number[]): Tensor => Tensor.from("i32", shape, values);
const close = (actual: number[] | undefined, expected: number[]): void => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, v] of expected.entries()) expect(actual?.[i]).toBeCloseTo(v, 5);
};

describe("values worked out by hand, or by PyTorch", () => {
  test("activations", () => {
    close(run(ops.gelu, [f32([3], [-1, 0.5, 3])])[0], [-0.158655, 0.345731, 2.99595]);
    close(run(ops.geluTanh, [f32([3], [-1, 0.5, 3])])[0], [-0.158808, 0.345714, 2.996363]);
    close(run(ops.silu, [f32([2], [-1, 2])])[0], [-0.268941, 1.761594]);
    close(run(ops.softplus, [f32([3], [-20, 0, 20])])[0], [2.0611537e-9, Math.LN2, 20]);
    close(run(ops.swiglu, [f32([1], [2]), f32([1], [3])])[0], [5.284782]);
  });

  test("casts round to nearest even, truncate and saturate", () => {
    expect(run(ops.cast, [f32([5], [1.9, -1.9, 300, -300, Number.NaN])], { dtype: "i8" })).toEqual([[1, -1, 127, -128, 0]]);
    expect(run(ops.cast, [f32([2], [2049, 2051])], { dtype: "f16" })).toEqual([[2048, 2052]]);
    expect(run(ops.cast, [i32([2], [257, -1])], { dtype: "u8" })).toEqual([[1, 255]]);
    // Halfway in f32 but for a last bit that a double cannot hold.
    expect(run(ops.cast, [Tensor.from("i64", [1], [2n ** 62n + 2n ** 38n + 1n])], { dtype: "f32" })).toEqual([[2 ** 62 + 2 ** 39]]);
  });

  test("integers wrap and are exact beyond 2^53", () => {
    const big = Tensor.from("i64", [2], [2n ** 62n, 2n ** 53n]);
    const out = Tensor.zeros("i64", [2]);
    runReference(ops.add, [big, Tensor.from("i64", [2], [2n ** 62n, 1n])], {}, [out]);
    expect([out.getInt(0), out.getInt(1)]).toEqual([-(2n ** 63n), 2n ** 53n + 1n]);
    expect(run(ops.div, [i32([3], [-7, 7, 1]), i32([3], [2, -2, 0])])).toEqual([[-3, -3, 0]]);
  });

  test("reductions and selection", () => {
    const x = f32([2, 3], [1, 5, 5, -2, Number.NaN, 9]);
    expect(run(ops.argmax, [x])).toEqual([[1, 1]]);
    expect(run(ops.topk, [f32([4], [1, 3, 2, 3])], { k: 3 })).toEqual([
      [3, 3, 2],
      [1, 3, 2],
    ]);
    expect(run(ops.reduceMax, [x], { axes: [1] })).toEqual([[5, Number.NaN]]);
    expect(run(ops.reduceMean, [f32([2, 2], [1, 2, 3, 4])], { axes: [0] })).toEqual([[2, 3]]);
    expect(run(ops.cumsum, [i32([4], [1, 2, 3, 4])], { reverse: true, exclusive: true })).toEqual([[9, 7, 4, 0]]);
    close(run(ops.softmax, [f32([3], [1000, 1001, 1002])])[0], [0.0900306, 0.2447285, 0.6652409]);
  });

  test("norms", () => {
    close(run(ops.layerNorm, [f32([4], [1, 2, 3, 4]), undefined, undefined], { eps: 0 })[0], [-1.341641, -0.447214, 0.447214, 1.341641]);
    close(run(ops.rmsNorm, [f32([2], [3, 4]), f32([2], [1, 2])], { eps: 0 })[0], [0.848528, 2.262742]);
    close(run(ops.groupNorm, [f32([1, 2, 2], [1, 3, 10, 30]), undefined, undefined], { groups: 2, eps: 0 })[0], [-1, 1, -1, 1]);
    const [sum, normed] = run(ops.residualRmsNorm, [f32([2], [1, 1]), f32([2], [2, 3]), undefined], { eps: 0 });
    expect(sum).toEqual([3, 4]);
    close(normed, [0.848528, 1.131371]);
  });

  test("matrix products", () => {
    expect(run(ops.matmul, [f32([2, 2], [1, 2, 3, 4]), f32([2, 1], [5, 6])])).toEqual([[17, 39]]);
    expect(run(ops.linear, [f32([2], [1, 2]), f32([3, 2], [1, 0, 0, 1, 1, 1]), f32([3], [10, 20, 30])])).toEqual([[11, 22, 33]]);
    expect(run(ops.groupedLinear, [f32([1, 2], [1, 2]), f32([2, 1, 2], [1, 1, 10, 10]), i32([1, 2], [1, 0])])).toEqual([[30, 3]]);
  });

  test("convolutions", () => {
    const x = f32([1, 2, 4], [1, 2, 3, 4, 10, 20, 30, 40]);
    const w = f32([1, 2, 3], [1, 0, 2, 0, 1, 0]);
    expect(run(ops.conv1d, [x, w, f32([1], [100])], { padding: 1 })).toEqual([[114, 127, 140, 143]]);
    expect(run(ops.conv1d, [x, w, undefined], { padding: 1, stride: 2 })).toEqual([[14, 40]]);
    expect(run(ops.conv1d, [x, f32([2, 1, 2], [1, -1, 2, 1]), undefined], { groups: 2, dilation: 2 })).toEqual([[-2, -2, 50, 80]]);
  });

  test("routing picks by logit and weighs by the chosen scoring", () => {
    const [weights, experts] = run(ops.moeRoute, [f32([1, 3], [0, 2, 1])], { k: 2 });
    expect(experts).toEqual([1, 2]);
    close(weights, [0.731059, 0.268941]);
    close(run(ops.moeRoute, [f32([1, 3], [0, 2, 1])], { k: 2, normalize: false, scoring: "sigmoid" })[0], [0.880797, 0.731059]);
  });

  test("rope turns pairs, half-split or interleaved, and leaves the rest", () => {
    const [cos, sin] = [f32([1, 1], [0]), f32([1, 1], [1])]; // a quarter turn
    expect(run(ops.rope, [f32([1, 1, 3], [1, 2, 9]), cos, sin], { headDim: 3 })).toEqual([[-2, 1, 9]]);
    const [c2, s2] = [f32([1, 2], [0, 1]), f32([1, 2], [1, 0])];
    expect(run(ops.rope, [f32([1, 1, 4], [1, 2, 3, 4]), c2, s2], { headDim: 4 })).toEqual([[-3, 2, 1, 4]]);
    expect(run(ops.rope, [f32([1, 1, 4], [1, 2, 3, 4]), c2, s2], { headDim: 4, interleaved: true })).toEqual([[-2, 1, 3, 4]]);
    const [cosTable, sinTable] = run(ops.ropeTable, [i32([2], [0, 2]), f32([1], [0.5])], { scale: 2 });
    close(cosTable, [2, 2 * Math.cos(1)]);
    close(sinTable, [0, 2 * Math.sin(1)]);
  });

  test("moving elements", () => {
    const x = i32([2, 3], [1, 2, 3, 4, 5, 6]);
    expect(run(ops.transpose, [x], { perm: [1, 0] })).toEqual([[1, 4, 2, 5, 3, 6]]);
    expect(run(ops.slice, [x], { axis: 1, start: 1, size: 2 })).toEqual([[2, 3, 5, 6]]);
    expect(run(ops.concat, [x, i32([2, 1], [7, 8])], { axis: 1 })).toEqual([[1, 2, 3, 7, 4, 5, 6, 8]]);
    expect(run(ops.pad, [x], { before: [0, 1], after: [1, 0], value: 9 })).toEqual([[9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9]]);
    expect(run(ops.gather, [x, i32([2], [2, 0])], { axis: 1 })).toEqual([[3, 1, 6, 4]]);
    expect(run(ops.scatter, [x, i32([2], [0, 0]), i32([2, 3], [1, 1, 1, 2, 2, 2])], { reduce: "add" })).toEqual([[4, 5, 6, 4, 5, 6]]);
    expect(run(ops.expand, [i32([2, 1], [1, 2])], { shape: [2, 2] })).toEqual([[1, 1, 2, 2]]);
  });
});

/** Operands of attention, those that are left out absent. */
const withOptional = (given: readonly (Tensor | undefined)[]): (Tensor | undefined)[] => ops.attention.inputs.map((_, i) => given[i]);

describe("attention", () => {
  const attrs = { numHeads: 1, numKvHeads: 1, headDim: 1 };
  const attend = (q: Tensor, k: Tensor, v: Tensor, extra: AttrRecord = {}, operands: (Tensor | undefined)[] = []): number[] =>
    run(ops.attention, withOptional([q, k, v, ...operands]), { ...attrs, ...extra })[0] ?? [];
  const zeros = f32([1, 3, 1], [0, 0, 0]);
  const values = f32([1, 3, 1], [3, 6, 12]); // equal scores: the mean of what is seen

  test("causal and window", () => {
    close(attend(zeros, zeros, values), [7, 7, 7]);
    close(attend(zeros, zeros, values, { causal: true }), [3, 4.5, 7]);
    close(attend(zeros, zeros, values, { causal: true, window: 2 }), [3, 4.5, 9]);
    close(attend(zeros, zeros, values, { window: 1 }), [7, 9, 12]);
    expect([0, 1, 2, 3].filter((k) => visible(k, 2, { causal: true, window: 2 }))).toEqual([1, 2]);
  });

  test("positions and lengths", () => {
    const one = f32([1, 1, 1], [0]);
    close(attend(one, zeros, values, { causal: true }, [undefined, i32([], [1])]), [4.5]);
    close(attend(one, zeros, values, { causal: true }, [undefined, undefined, i32([1], [2])]), [4.5]);
    expect(attend(one, zeros, values, {}, [undefined, undefined, i32([], [0])])).toEqual([0]);
    expect(() => attend(one, zeros, values, {}, [undefined, undefined, i32([], [4])])).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [attention] kvLen of sequence 0: expected 0 to 3, got 4]`,
    );
  });

  test("masks, sinks and softcap", () => {
    const one = f32([1, 1, 1], [1]);
    const keep = Tensor.from("bool", [1, 3], [1, 0, 1]);
    close(attend(one, zeros, values, { maskKind: "keep" }, [keep]), [7.5]);
    const bias = f32([1, 3], [Number.NEGATIVE_INFINITY, 0, Math.log(2)]);
    close(attend(one, zeros, values, { maskKind: "bias" }, [bias]), [10]);
    close(attend(one, zeros, values, {}, [undefined, undefined, undefined, f32([1], [0])]), [21 / 4]);
    const k = f32([1, 2, 1], [0, 100]);
    const w = Math.exp(2 * Math.tanh(50));
    close(attend(one, k, f32([1, 2, 1], [0, 1]), { softcap: 2 }), [w / (1 + w)]);
  });

  test("groups of query heads share a key head, in both layouts", () => {
    const q = f32([1, 1, 2], [0, 0]);
    const k = f32([1, 2, 1], [0, 0]);
    const v = f32([1, 2, 1], [2, 4]);
    expect(attend(q, k, v, { numHeads: 2 })).toEqual([3, 3]);
    const [kh, vh] = [f32([1, 2, 1, 1], [0, 0]), f32([1, 2, 1, 1], [2, 4])];
    expect(attend(q, kh, vh, { numHeads: 2, numKvHeads: 2, kvLayout: "head" })).toEqual([2, 4]);
  });
});

describe("errors name the op, the operand, what was expected and what was given", () => {
  const type =
    (def: AnyOpDef, inputs: readonly (Tensor | undefined)[], attrs: AttrRecord = {}) =>
    () =>
      checkInputs(def, inputs, checkAttrs(def, attrs));
  const x = f32([2, 3], [0, 0, 0, 0, 0, 0]);

  test("shapes", () => {
    expect(type(ops.linear, [x, f32([2, 4], Array(8).fill(0)), undefined])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [linear] x: expected a last extent of 4, as in w f32[2, 4], got f32[2, 3]]`,
    );
    expect(type(ops.matmul, [x, x])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [matmul] b: expected 3 along its second to last axis, as in a f32[2, 3], got f32[2, 3]]`,
    );
    expect(type(ops.slice, [x], { axis: 1, start: 2, size: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [slice] x: expected at least 4 along axis 1, got f32[2, 3]]`,
    );
    expect(type(ops.reshape, [x], { shape: [dim("n", { min: 0, max: 6 })] })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [reshape] x: expected n elements for [n], got 6 in f32[2, 3]]`,
    );
    const signal = Tensor.zeros("f32", [1, 4, 5]);
    expect(type(ops.conv1d, [signal, Tensor.zeros("f32", [6, 4, 3]), undefined], { groups: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [conv1d] x: expected 8 channels (2 groups, w f32[6, 4, 3]), got f32[1, 4, 5]]`,
    );
    expect(type(ops.conv1d, [signal, Tensor.zeros("f32", [5, 2, 3]), undefined], { groups: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [conv1d] w: expected a multiple of 2 groups along its first axis, got f32[5, 2, 3]]`,
    );
    expect(type(ops.conv1d, [signal, Tensor.zeros("f32", [5, 4, 9]), undefined])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [conv1d] x: expected a length of at least 8, got f32[1, 4, 5]]`,
    );
    expect(type(ops.conv1d, [signal, Tensor.zeros("f32", [5, 4, 0]), undefined])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [conv1d] w: expected a fixed number of taps > 0, got f32[5, 4, 0]]`,
    );
    expect(type(ops.conv1d, [signal, Tensor.zeros("f32", [5, 4, 1]), undefined], { stride: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [conv1d] stride: expected an integer > 0, got 0]`,
    );
    const odd = { dtype: "f32", shape: [1, 4, dim("n", { min: 1, max: 9 })] } as const;
    const filter = { dtype: "f32", shape: [2, 4, 3] } as const;
    expect(() =>
      ops.conv1d.infer({ x: odd, w: filter }, { stride: 2, padding: 1, dilation: 1, groups: 1 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [conv1d] x: expected a length whose symbols count in multiples of stride 2, got f32[1, 4, n]]`,
    );
    expect(type(ops.rmsNorm, [x, f32([2], [1, 1])])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [rms_norm] weight: expected [3], got f32[2]]`,
    );
    expect(
      type(ops.attention, withOptional([f32([1, 2, 3], Array(6).fill(0)), x, x]), {
        numHeads: 2,
        numKvHeads: 2,
        headDim: 2,
      }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [attention] q: expected a last extent of numHeads * headDim = 2 * 2 = 4, got f32[1, 2, 3]]`,
    );
    expect(type(ops.cast, [Tensor.zeros("q8_0", [32])], { dtype: "f32" })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [cast] x: expected a float, integer or bool dtype, got q8_0: use dequantize]`,
    );
  });

  test("attributes out of range, and operands that only look right", () => {
    expect(type(ops.layerNorm, [x, undefined, undefined], { eps: Number.NaN })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [layer_norm] eps: expected a number >= 0, got NaN]`,
    );
    expect(type(ops.pad, [Tensor.zeros("u8", [1])], { before: [1], after: [0], value: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [pad] value: expected an integer from 0 to 255 for u8, got -1]`,
    );
    expect(type(ops.softmax, [f32([], [1])])).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [softmax] axis: expected an operand with axes, got a scalar and axis -1]`,
    );
    const qkv = f32([1, 2, 3], Array(6).fill(0));
    const bias = { numHeads: 1, numKvHeads: 1, headDim: 3, maskKind: "bias" };
    expect(type(ops.attention, withOptional([qkv, qkv, qkv, i32([2, 2], [0, 0, 0, 0])]), bias)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [attention] mask: expected a float for maskKind "bias", got i32[2, 2]]`,
    );
    const half = {
      body: { inputs: 1, compute: "i64", steps: [{ op: "const", args: [], imm: 0.5 }], outputs: [1] },
      dtypes: ["i32"],
    } as const;
    expect(type(ops.region, [i32([1], [1])], half)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [region] body: step 0: expected a step on integers, got const 0.5]`,
    );
    expect(type(ops.region, [f32([1], [0.5])], half)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [region] body: expected integer or bool operands for i64 registers, got f32]`,
    );
    const inner = { op: "linear", attrs: { transposed: true }, arity: 2, present: [0, 1], dtype: "f32" };
    const body = { inputs: 1, compute: "f32", steps: [], outputs: [0] } as const;
    expect(type(ops.withEpilogue, [x, x], { ...inner, body } as AttrRecord)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [linear] unknown attribute "transposed": expected bias]`,
    );
  });

  test("what a run finds is found before anything is written", () => {
    const cache = f32([1, 2, 1], [7, 8]);
    const attrs = checkAttrs(ops.kvWrite, {});
    const write = (): void => runReference(ops.kvWrite, [cache, f32([1, 2, 1], [1, 2]), i32([], [1])], attrs, [cache]);
    expect(write).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [kv_write] pos of sequence 0: expected 0 to 0 for 2 tokens in the 2 slots of cache, got 1]`,
    );
    expect(write).toThrow(RunError);
    expect(cache.toArray()).toEqual([7, 8]);
    expect(() => run(ops.embedding, [x, i32([2], [0, 2])])).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [embedding] index 1: expected 0 to 1, got 2]`,
    );
    expect(() => run(ops.gather, [x, i32([1], [-1])])).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [gather] index 0: expected 0 to 1, got -1]`,
    );
  });
});

test("the op table renders one row per op", () => {
  const rows = renderOpTable().split("\n");
  expect(rows.length).toBe(Object.keys(ops).length + 2);
  expect(rows.find((r) => r.startsWith("| `linear`"))).toMatchInlineSnapshot(
    `"| \`linear\` | \`linear\` | \`x float\`, \`w weight\`, \`bias? float\` |  | x w^T + bias: x [..., k], w [n, k] in any weight dtype, bias [n], gives [..., n] in x's dtype. | epilogue, mergeable, accumulates in f32, decomposes |"`,
  );
});
