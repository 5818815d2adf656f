import {
  type AttrArgs,
  checkAttrs,
  define,
  dim,
  evaluateGraph,
  type Graph,
  graphBuilder,
  ops,
  q8Dim,
  RlxError,
  Rng,
  RunError,
  randomTensor,
  runReference,
  Tensor,
  verifyGraph,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

const int = (value: number): Tensor => Tensor.from("i32", [], [value]);
const ints = (...list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
const message = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(RlxError);
    return String(error);
  }
  return "accepted";
};
type WriteAttrs = AttrArgs<typeof ops.kvWrite.attrs>;

interface Places {
  readonly pos: Tensor;
  readonly slots?: Tensor;
  readonly tokens?: Tensor;
  readonly srcTokOffset?: Tensor;
}
/** kv_write in place. */
function write(cache: Tensor, x: Tensor, { pos, slots, tokens, srcTokOffset }: Places, attrs: WriteAttrs = {}): void {
  runReference(ops.kvWrite, [cache, x, pos, slots, tokens, srcTokOffset], checkAttrs(ops.kvWrite, { ...attrs }), [cache]);
}

describe("types", () => {
  const g = graphBuilder("types");
  let names = 0;
  const state = (dtype: "f32" | "f16" | "q8_0" | "q4_0" | "i32", ...shape: readonly number[]) => g.state(`s${names++}`, dtype, shape);
  const x = g.input("x", "f32", [2, 3, 12]);
  const heads = g.input("heads", "f32", [2, 4, 3, 3]);
  const pos = g.input("pos", "i32", []);

  test("shapes, dtypes and attributes that do not go together", () => {
    const head = { layout: "head" as const, headDim: 3 };
    const cases: Record<string, () => unknown> = {
      "a cache of integers": () => g.kvWrite(state("i32", 2, 8, 12), x, pos),
      "a cache in another block format": () => g.kvWrite(state("q4_0", 2, 8, 32), x, pos, { headDim: 12 }),
      "q8_0 without headDim": () => g.kvWrite(state("q8_0", 2, 4, 8, 32), x, pos, { layout: "head" }),
      "q8_0 of fewer blocks": () => g.kvWrite(state("q8_0", 2, 8, 32), x, pos, { headDim: 3 }),
      "three axes, head-major": () => g.kvWrite(state("f32", 2, 8, 12), x, pos, head),
      "four axes, token-major": () => g.kvWrite(state("f32", 2, 4, 8, 3), x, pos),
      "heads of another dim": () => g.kvWrite(state("f32", 2, 4, 8, 3), x, pos, { layout: "head", headDim: 4 }),
      "a headDim that does not divide": () => g.kvWrite(state("f32", 2, 8, 12), x, pos, { headDim: 5 }),
      "headDim 0": () => g.kvWrite(state("f32", 2, 8, 12), x, pos, { headDim: 0 }),
      "another number of heads": () => g.kvWrite(state("f32", 2, 3, 8, 3), heads, pos, { ...head, xLayout: "head" }),
      "a source with three axes, head-major": () => g.kvWrite(state("f32", 2, 4, 8, 3), x, pos, { ...head, xLayout: "head" }),
      "another number of sequences": () => g.kvWrite(state("f32", 3, 8, 12), x, pos),
      "slots of another length": () => g.kvWrite(state("f32", 3, 8, 12), x, pos, { slots: g.constant(ints(0, 1, 2)) }),
      "tokens of another length": () => g.kvWrite(state("f32", 2, 8, 12), x, pos, { tokens: g.constant(ints(0, 1, 2)) }),
      "positions that are floats": () => g.kvWrite(state("f32", 2, 8, 12), x, g.input("f", "f32", [])),
      "trim without ring": () => g.kvWrite(state("f32", 2, 8, 12), x, pos, { trim: true }),
      "2^32 elements": () => g.kvWrite(state("f16", 2, 2 ** 30, 12), x, pos),
      "2^32 elements at the upper bound": () => g.kvWrite(g.state("big", "f16", [2, dim("c", { min: 1, max: 2 ** 30 }), 12]), x, pos),
      "no state": () => g.kvWrite(g.input("cache", "f32", [2, 8, 12]), x, pos),
      "V of another shape": () => g.kvWritePair(state("f32", 2, 8, 12), state("f32", 2, 8, 13), x, x, pos),
      "K and V in one state": () => {
        const s = state("f32", 2, 8, 12);
        g.kvWritePair(s, s, x, x, pos);
      },
      "a ring of other rows": () => g.kvLinearizeRing(state("f32", 2, 8, 12), g.input("ring", "f32", [2, 8, 11]), pos, pos),
      "a ring of one axis": () => g.kvLinearizeRing(state("f32", 2), g.input("one", "f32", [2]), pos, pos),
    };
    const texts = Object.entries(cases).map(([what, call]) => `${what}: ${message(call)}`);
    expect(texts.join("\n")).toMatchInlineSnapshot(`
      "a cache of integers: ShapeError: [kv_write] operand "cache": expected a weight dtype, got i32
      a cache in another block format: ShapeError: [kv_write] cache: expected a float dtype or q8_0, got q4_0[2, 8, 32]
      q8_0 without headDim: AttrError: [kv_write] headDim: expected it beside cache q8_0[2, 4, 8, 32], got nothing
      q8_0 of fewer blocks: ShapeError: [kv_write] cache: expected [2, 8, 128], got q8_0[2, 8, 32]
      three axes, head-major: ShapeError: [kv_write] cache: expected 4 axes, got f32[2, 8, 12]
      four axes, token-major: ShapeError: [kv_write] cache: expected 3 axes, got f32[2, 4, 8, 3]
      heads of another dim: ShapeError: [kv_write] x: expected heads of 4 values, got f32[2, 3, 12]
      a headDim that does not divide: ShapeError: [kv_write] x: expected heads of 5 values, got f32[2, 3, 12]
      headDim 0: AttrError: [kv_write] headDim: expected at least 1, got 0
      another number of heads: ShapeError: [kv_write] cache: expected [2, 4, 8, 3], got f32[2, 3, 8, 3]
      a source with three axes, head-major: ShapeError: [kv_write] x: expected 4 axes, got f32[2, 3, 12]
      another number of sequences: ShapeError: [kv_write] x: expected the cache's 3 sequences (or slots that say which), got f32[2, 3, 12]
      slots of another length: ShapeError: [kv_write] slots: expected [2], got i32[3]
      tokens of another length: ShapeError: [kv_write] tokens: expected [2], got i32[3]
      positions that are floats: ShapeError: [kv_write] operand "pos": expected a int dtype, got f32
      trim without ring: AttrError: [kv_write] trim: expected ring: true beside it, only a ring drops tokens
      2^32 elements: ShapeError: [kv_write] cache: expected fewer than 2^32 elements, got 25769803776 in f16[2, 1073741824, 12]
      2^32 elements at the upper bound: ShapeError: [kv_write] cache: expected fewer than 2^32 elements, got 25769803776 in f16[2, c, 12]
      no state: GraphError: graph "types": kv_write writes "cache": expected a state value, got %24
      V of another shape: ShapeError: [kv_write_pair] vCache: expected [2, 8, 12], got f32[2, 8, 13]
      K and V in one state: GraphError: graph "types": kv_write_pair writes "vCache": expected a state of its own, got %27 again
      a ring of other rows: ShapeError: [kv_linearize_ring] src: expected the type of dst f32[2, 8, 12] but for its axis -2, at least 2 axes, got f32[2, 8, 11]
      a ring of one axis: ShapeError: [kv_linearize_ring] src: expected the type of dst f32[2] but for its axis -2, at least 2 axes, got f32[2]"
    `);
  });

  test("extents may be symbols", () => {
    const [batch, seq, cap] = [dim("batch", { min: 1, max: 4 }), dim("seq", { min: 1, max: 16 }), dim("cap", { min: 1, max: 64 })];
    const graph = define("symbols", (b) => {
      const cache = b.state("k", "q8_0", [4, 2, cap, 64]);
      const slots = b.input("slots", "i32", [batch]);
      return b.kvWrite(cache, b.input("x", "f32", [batch, seq, 2 * 40]), b.input("pos", "i32", [batch]), {
        layout: "head",
        headDim: 40,
        slots,
      });
    });
    verifyGraph(graph);
    expect(String(graph.values.at(-1)?.shape)).toBe("4,2,cap,64");
  });
});

describe("an op that writes two states", () => {
  const graph = define("pair", (g) => {
    const [k, v, x] = [g.state("k", "f32", [1, 2, 2]), g.state("v", "f32", [1, 2, 2]), g.input("x", "f32", [1, 1, 2])];
    const next = g.kvWritePair(k, v, x, x, g.constant(1, "i32"));
    return { k: next.k, v: next.v };
  });
  const writer = graph.nodes.findIndex((n) => n.op === "kv_write_pair");
  const withInputs = (inputs: readonly number[]): Graph => ({
    ...graph,
    nodes: graph.nodes.map((n, i) => (i === writer ? { ...n, inputs: inputs.concat(n.inputs.slice(inputs.length)) } : n)),
  });

  test("both are replaced, and neither old version may be read again", () => {
    const states = new Map<string, Tensor>();
    evaluateGraph(graph, { inputs: { x: Tensor.from("f32", [1, 1, 2], [5, 6]) }, states });
    expect([...states].map(([name, t]) => [name, t.toArray()])).toEqual([
      ["k", [0, 0, 5, 6]],
      ["v", [0, 0, 5, 6]],
    ]);
    for (const old of [0, 1])
      expect(message(() => verifyGraph({ ...graph, outputs: [{ name: "old", value: old }] }))).toMatch(/which node \d+ overwrites/);
    const g = graphBuilder("stale");
    const [k, v, x] = [g.state("k", "f32", [1, 2, 2]), g.state("v", "f32", [1, 2, 2]), g.input("x", "f32", [1, 1, 2])];
    g.kvWritePair(k, v, x, x, g.constant(1, "i32"));
    expect(message(() => g.relu(v))).toMatchInlineSnapshot(
      `"GraphError: graph "stale": relu uses state version %1 after node 4 has written it: use the new version"`,
    );
  });

  test("the verifier wants two different states", () => {
    expect([message(() => verifyGraph(withInputs([0, 0]))), message(() => verifyGraph(withInputs([0, 2])))]).toMatchInlineSnapshot(`
      [
        "GraphError: graph "pair": node 4 (kv_write_pair): writes "vCache": expected a state of its own, got %0 again",
        "GraphError: graph "pair": node 4 (kv_write_pair): writes "vCache": expected a state version, got %2",
      ]
    `);
  });

  test("outputs behind the written ones are no states", () => {
    const g = graphBuilder("topk");
    const { indices } = g.topk(g.input("x", "f32", [4]), { k: 2 });
    expect(message(() => g.stateWrite(indices, indices))).toMatch(/expected a state value/);
  });
});

test("every sequence of zero tokens is left alone, wherever it would go", () => {
  const cache = Tensor.from("f32", [2, 2, 1], [1, 2, 3, 4]);
  const x = Tensor.from("f32", [2, 2, 1], [5, 6, 7, 8]);
  write(cache, x, { pos: ints(-9, 1), slots: ints(7, 0), tokens: ints(0, 1), srcTokOffset: ints(99, 1) });
  expect(cache.toArray()).toEqual([1, 8, 3, 4]);
});

test("memory that a cache shares with anything else is refused, and unchanged", () => {
  const memory = Float32Array.from({ length: 12 }, (_, i) => i);
  const part = (from: number, shape: readonly number[]): Tensor =>
    new Tensor("f32", shape, memory.subarray(from, from + shape.reduce((a, b) => a * b, 1)));
  const cache = part(0, [1, 4, 2]);
  expect(() => write(cache, part(7, [1, 1, 2]), { pos: int(0) })).toThrowErrorMatchingInlineSnapshot(
    `[RunError: [kv_write] x: expected memory of its own, got memory that overlaps cache]`,
  );
  expect(() => write(cache, part(7, [1, 1, 2]), { pos: int(0) })).toThrow(RunError);
  write(cache, part(7, [1, 1, 2]), { pos: int(0), tokens: int(0) });
  expect([...memory]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  write(cache, part(8, [1, 1, 2]), { pos: int(3) });
  expect([...memory]).toEqual([0, 1, 2, 3, 4, 5, 8, 9, 8, 9, 10, 11]);
});

test("a failed pair leaves K as it was when V does not fit", () => {
  const [k, v] = [Tensor.zeros("f32", [1, 4, 2]), Tensor.zeros("f16", [1, 2, 2])];
  const x = Tensor.from("f32", [1, 3, 2], [1, 2, 3, 4, 5, 6]);
  const run = (): void =>
    runReference(ops.kvWritePair, [k, v, x, x, int(0), undefined, undefined, undefined], checkAttrs(ops.kvWritePair, {}), [k, v]);
  expect(run).toThrowErrorMatchingInlineSnapshot(
    `[RunError: [kv_write_pair] tokens of sequence 0: expected at most the 2 slots of vCache, got 3]`,
  );
  expect([...k.toArray(), ...v.toArray()].every((value) => value === 0)).toBe(true);
});

test("a q8_0 cache holds each head in whole blocks, and reads back within half a step", () => {
  const [heads, headDim, cap] = [2, 40, 3];
  const x = randomTensor(new Rng(2), "f32", [1, 2, heads * headDim]);
  for (const layout of ["token", "head"] as const) {
    const cache = Tensor.zeros("q8_0", layout === "token" ? [1, cap, heads * q8Dim(headDim)] : [1, heads, cap, q8Dim(headDim)]);
    expect(cache.bytes.length).toBe(cap * heads * 2 * 34);
    write(cache, x, { pos: int(1) }, { layout, headDim });
    const values = cache.values();
    for (let t = 0; t < 2; t++)
      for (let h = 0; h < heads; h++) {
        const at = (layout === "token" ? (1 + t) * heads + h : h * cap + 1 + t) * 64;
        const peak = Math.max(...Array.from({ length: headDim }, (_, d) => Math.abs(x.get((t * heads + h) * headDim + d))));
        for (let d = 0; d < headDim; d++)
          expect(Math.abs((values[at + d] ?? 0) - x.get((t * heads + h) * headDim + d))).toBeLessThan(peak / 254 + peak * 2 ** -11);
        expect(values.subarray(at + headDim, at + 64)).toEqual(new Float32Array(24));
      }
  }
});
