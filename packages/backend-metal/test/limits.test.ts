import { metalKernels } from "@rlxjs/backend-metal";
import { type AnyOpDef, type AttrRecord, type DType, ops, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { refusal } from "../../backend-cpu/test/one-op.ts";
import { caseOf } from "./op-cases.ts";

/** Why no kernel takes an op on an operand; undefined when one does. */
const why = (def: AnyOpDef, shape: readonly number[], attrs: AttrRecord, dtype: DType = "f32"): string | undefined =>
  refusal(metalKernels, def, caseOf(def, Tensor.zeros(dtype, shape), attrs));

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
  const product = (def: AnyOpDef, dtype: DType) => {
    const operands = def.inputs.map((_: unknown, i: number) => (i < 2 ? Tensor.zeros(dtype, [4, 4]) : undefined));
    return refusal(metalKernels, def, caseOf(def, operands));
  };
  expect([product(ops.linear, "f32"), product(ops.matmul, "bf16")]).toEqual([undefined, undefined]);
  expect([product(ops.linear, "f64"), product(ops.matmul, "f64")]).toEqual(["metal has no f64", "metal has no f64"]);
});

/** The sum of so many operands. */
const sum = (count: number) => ({
  compute: "f32" as const,
  inputs: count,
  steps: Array.from({ length: count - 1 }, (_, i) => ({ op: "add" as const, args: [i === 0 ? 0 : count + i - 1, i + 1] })),
  outputs: [2 * count - 2],
});

test("operands that fit into the indices of buffers", () => {
  const region = (count: number) =>
    refusal(
      metalKernels,
      ops.region,
      caseOf(
        ops.region,
        Array.from({ length: count }, () => Tensor.zeros("f32", [2])),
        { body: sum(count), dtypes: ["f32"] } as unknown as AttrRecord,
      ),
    );
  expect([region(29), region(30)]).toEqual([undefined, "more than 29 operands"]);
});

test("elements that 32 bits count", () => {
  const negated = (count: number) => refusal(metalKernels, ops.neg, caseOf(ops.neg, { dtype: "f32", shape: [count] } as unknown as Tensor));
  expect([negated(2 ** 31), negated(2 ** 31 + 1)]).toEqual([undefined, "more than 2147483648 elements"]);
});
