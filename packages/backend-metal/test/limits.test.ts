import { metalKernels } from "@rlxjs/backend-metal";
import { type AnyOpDef, type AttrRecord, type DType, ops, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { refusal } from "../../backend-cpu/test/one-op.ts";
import { caseOf } from "./op-cases.ts";

/** Why no kernel takes an op on these operands, the first of its slots; undefined when one does. */
const whyOf = (def: AnyOpDef, given: readonly Tensor[], attrs: AttrRecord = {}): string | undefined => {
  const slots = Array.from({ length: Math.max(def.inputs.length, given.length) }, (_, i) => given[i]);
  return refusal(metalKernels, def, caseOf(def, slots, attrs));
};
/** The same on one operand of f32. */
const why = (def: AnyOpDef, shape: readonly number[], attrs: AttrRecord): string | undefined =>
  whyOf(def, [Tensor.zeros("f32", shape)], attrs);

test("what threadgroup memory has room for", () => {
  const route = (experts: number, k: number) => why(ops.moeRoute, [1, experts], { k });
  expect([route(2048, 256), why(ops.topk, [1, 300], { k: 256 })]).toEqual([undefined, undefined]);
  expect(route(2049, 8)).toBe("2049 experts, at most 2048 are supported");
  expect(route(300, 257)).toBe("k 257, at most 256 are supported");
  expect(why(ops.topk, [1, 300], { k: 257 })).toBe("k 257, at most 256 are supported");
  expect([why(ops.fwht, [1, 8192], {}), why(ops.fwht, [1, 16_384], {})]).toEqual([
    undefined,
    "rows of 16384 values, at most 8192 are supported",
  ]);
});

test("products of f64", () => {
  const product = (def: AnyOpDef, dtype: DType) => whyOf(def, [Tensor.zeros(dtype, [4, 4]), Tensor.zeros(dtype, [4, 4])]);
  expect([product(ops.linear, "f32"), product(ops.matmul, "bf16")]).toEqual([undefined, undefined]);
  expect([product(ops.linear, "f64"), product(ops.matmul, "f64")]).toEqual(["metal has no f64", "metal has no f64"]);
});

test("caches of f64", () => {
  const vectors = (dtype: DType): Tensor => Tensor.zeros(dtype, [1, 2, 4]);
  const pos = Tensor.zeros("i64", []);
  const write = (cache: DType, x: DType) => whyOf(ops.kvWrite, [vectors(cache), vectors(x), pos], { headDim: 4 });
  const writePair = (k: DType, v: DType) =>
    whyOf(ops.kvWritePair, [vectors(k), vectors(v), vectors("f32"), vectors("f32"), pos], { headDim: 4 });
  expect([write("f64", "f64"), write("f16", "f32"), writePair("f32", "f16")]).toEqual([undefined, undefined, undefined]);
  const refused = [write("f64", "f32"), write("f32", "f64"), writePair("f64", "f32"), writePair("f32", "f64")];
  expect(refused).toEqual(refused.map(() => "metal has no f64"));
});

/** The sum of so many operands. */
const sum = (count: number) => ({
  compute: "f32" as const,
  inputs: count,
  steps: Array.from({ length: count - 1 }, (_, i) => ({ op: "add" as const, args: [i === 0 ? 0 : count + i - 1, i + 1] })),
  outputs: [2 * count - 2],
});

test("operands that fit into the indices of buffers", () => {
  const region = (count: number) => {
    const operands = Array.from({ length: count }, () => Tensor.zeros("f32", [2]));
    return whyOf(ops.region, operands, { body: sum(count), dtypes: ["f32"] } as unknown as AttrRecord);
  };
  expect([region(29), region(30)]).toEqual([undefined, "more than 29 operands"]);
});

test("epilogues", () => {
  const epilogue = (extra: readonly DType[], compute: "f32" | "f64" = "f32") => {
    const operands = [...[1, 2].map(() => Tensor.zeros("f32", [4, 4])), ...extra.map((dtype) => Tensor.zeros(dtype, [4]))];
    const attrs = { op: "linear", attrs: {}, arity: 2, present: [0, 1], body: { ...sum(1 + extra.length), compute }, dtype: "f32" };
    return whyOf(ops.withEpilogue, operands, attrs as unknown as AttrRecord);
  };
  const many = (count: number): DType[] => new Array<DType>(count).fill("f32");
  expect([epilogue(["f16"]), epilogue(many(24))]).toEqual([undefined, undefined]);
  expect(epilogue(["f32"], "f64")).toBe("a body of class f64");
  expect(epilogue(["f32", "f64"])).toBe("metal has no f64");
  expect(epilogue(many(25))).toBe("an epilogue with more than 24 operands");
});

test("elements that 32 bits count", () => {
  const negated = (count: number) => whyOf(ops.neg, [{ dtype: "f32", shape: [count] } as unknown as Tensor]);
  expect([negated(2 ** 31), negated(2 ** 31 + 1)]).toEqual([undefined, "more than 2147483648 elements"]);
});
