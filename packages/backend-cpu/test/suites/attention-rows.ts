import { type AttrRecord, type DType, findMismatch, ops, Rng, randomTensor, runReference, Tensor } from "@rlxjs/ir";
import type { Backend } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { OneOp } from "../one-op.ts";
import type { TwoWays } from "./attention-problem.ts";

interface Shape {
  readonly queries: number;
  readonly slots: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dim: number;
  readonly cache: DType;
  readonly layout: "token" | "head";
}
/** Operands in the order of the op, those that are left out absent. */
const withOptional = (given: readonly (Tensor | undefined)[]): (Tensor | undefined)[] => ops.attention.inputs.map((_, i) => given[i]);
const scalar = (x: number): Tensor => Tensor.from("i32", [], [x]);
const attrsOf = ({ heads, kvHeads, dim, layout }: Shape, more: AttrRecord): AttrRecord => ({
  numHeads: heads,
  numKvHeads: kvHeads,
  headDim: dim,
  causal: true,
  maskKind: "none",
  kvLayout: layout,
  ...more,
});
function operands(rng: Rng, s: Shape): [Tensor, Tensor, Tensor] {
  const kv = s.layout === "token" ? [1, s.slots, s.kvHeads * s.dim] : [1, s.kvHeads, s.slots, s.dim];
  return [randomTensor(rng, "f32", [1, s.queries, s.heads * s.dim]), randomTensor(rng, s.cache, kv), randomTensor(rng, s.cache, kv)];
}
/** Query rows [from, to). */
const queries = (q: Tensor, from: number, to: number): Tensor => {
  const width = q.shape[2] ?? 1;
  return Tensor.fromBytes("f32", [1, to - from, width], q.bytes.slice(from * width * 4, to * width * 4));
};

const shapes: readonly (readonly [string, Shape, AttrRecord])[] = [
  ["grouped queries", { queries: 40, slots: 700, heads: 6, kvHeads: 2, dim: 64, cache: "f16", layout: "token" }, {}],
  ["one key head", { queries: 9, slots: 300, heads: 5, kvHeads: 1, dim: 80, cache: "bf16", layout: "head" }, {}],
  ["window", { queries: 37, slots: 600, heads: 3, kvHeads: 3, dim: 36, cache: "f32", layout: "head" }, { window: 290 }],
  ["softcap", { queries: 5, slots: 300, heads: 2, kvHeads: 2, dim: 5, cache: "f32", layout: "token" }, { softcap: 3, scale: 0.7 }],
];

/** What rows see, one by one and together. */
export function attentionRowsSuite({ one, two, sameAlone }: TwoWays): void {
  const attention = (b: Backend, slots: readonly (Tensor | undefined)[], attrs: AttrRecord): Tensor => {
    using op = new OneOp(b, ops.attention, { name: "attention", slots: withOptional(slots), attrs });
    expect(op.kernel).toBe("attention");
    return op.runSync()[0] as Tensor;
  };

  test.each(shapes)("%s: within the bound; the same bits both ways, and row by row where the device says so", (_, s, more) => {
    const [q, k, v] = operands(new Rng(s.slots), s);
    const attrs = attrsOf(s, more);
    const length = s.slots - 3;
    const start = length - s.queries;
    const slots = [q, k, v, undefined, scalar(start), scalar(length), undefined];
    const y = attention(two(), slots, attrs);
    const expected = Tensor.zeros("f32", y.shape);
    runReference(ops.attention, slots, attrs, [expected]);
    expect(findMismatch(ops.attention, slots, attrs, [expected], [y])).toBeUndefined();
    expect(attention(one(), slots, attrs).bytes).toEqual(y.bytes);
    for (const i of [0, 1, s.queries - 1]) {
      // As in decoding: the cache holds no later key yet.
      const row = [queries(q, i, i + 1), k, v, undefined, scalar(start + i), scalar(start + i + 1), undefined];
      const alone = attention(two(), row, attrs);
      expect(findMismatch(ops.attention, row, attrs, [queries(expected, i, i + 1)], [alone])).toBeUndefined();
      if (sameAlone) expect(alone.bytes).toEqual(queries(y, i, i + 1).bytes);
    }
  });

  test.each(["token", "head"] as const)("%s layout: what a query does not see has no influence, not even NaN", (layout) => {
    const s: Shape = { queries: 12, slots: 64, heads: 4, kvHeads: 2, dim: 16, cache: "f32", layout };
    const [q, k, v] = operands(new Rng(4), s);
    const clean = attention(two(), [q, k, v, undefined, scalar(20), scalar(32), undefined], attrsOf(s, {}));
    const seen = 26; // of query 5
    const isHidden = (i: number): boolean => (layout === "token" ? Math.floor(i / 32) : Math.floor(i / 16) % 64) >= seen;
    for (const t of [k, v]) for (let i = 0; i < t.size; i++) if (isHidden(i)) t.set(i, Number.NaN);
    const y = attention(two(), [q, k, v, undefined, scalar(20), scalar(32), undefined], attrsOf(s, {}));
    expect(queries(y, 0, 6).bytes).toEqual(queries(clean, 0, 6).bytes);
    expect(Number.isNaN(y.get(6 * 64))).toBe(true);
  });

  test("a row without visible keys gives zeros", () => {
    const s: Shape = { queries: 3, slots: 8, heads: 1, kvHeads: 1, dim: 4, cache: "f32", layout: "token" };
    const [q, k, v] = operands(new Rng(9), s);
    const keep = Tensor.from(
      "bool",
      [1, 8],
      Array.from({ length: 8 }, () => 0),
    );
    const hidden = attention(one(), [q, k, v, keep, undefined, undefined, undefined], attrsOf(s, { maskKind: "keep" }));
    const empty = attention(one(), [q, k, v, undefined, scalar(0), scalar(0), undefined], attrsOf(s, {}));
    for (const y of [hidden, empty]) expect(y.bytes).toEqual(new Uint8Array(48));
  });

  test("kvLen beyond the cache is an error", () => {
    const s: Shape = { queries: 1, slots: 8, heads: 1, kvHeads: 1, dim: 4, cache: "f32", layout: "token" };
    const slots = [...operands(new Rng(9), s), undefined, scalar(0), scalar(9), undefined];
    using op = new OneOp(one(), ops.attention, { name: "attention", slots: withOptional(slots), attrs: attrsOf(s, {}) });
    expect(() => op.runSync()).toThrow("kvLen of sequence 0: expected 0 to 8, got 9");
  });
}
