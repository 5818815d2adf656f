import { define, dim, findMismatch, ops, Rng, randomTensor, runReference, Tensor, weightTensor } from "@rlxjs/ir";
import { type MetalBackend, metalKernels, planProgram } from "@rlxjs/backend-metal";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { OneOp, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { backendOf, describeVariants, expectNoFaults, openSession } from "./variants.ts";

const [EXPERTS, CHOSEN, N] = [5, 2, 67];
const ids = (dtype: "i32" | "i64" | "u8", tokens: number, pick: (place: number) => number): Tensor =>
  Tensor.from(
    dtype,
    [tokens, CHOSEN],
    Array.from({ length: tokens * CHOSEN }, (_, i) => pick(i)),
  );

const run = (backend: MetalBackend, x: Tensor, w: Tensor, experts: Tensor): Tensor => {
  using op = new OneOp(backend, ops.groupedLinear, { name: "experts", slots: [x, w, experts], attrs: {} });
  expect(op.kernel).toBe("grouped_linear");
  return op.runSync()[0] as Tensor;
};

describeVariants("experts", (variant) => {
  test("places spread in every way: all on one expert, some on none, more than a tile on one", () => {
    const rng = new Rng(1);
    const patterns: readonly ((place: number) => number)[] = [
      () => 3,
      (i) => (i % 3 === 0 ? 4 : 1),
      (i) => i % EXPERTS,
      () => rng.int(0, 4),
    ];
    const samples = patterns.flatMap((pick, i) =>
      [2, 6, 40].map((tokens) => {
        const dtype = (["f16", "q8_0", "q4_k", "bf16"] as const)[i] ?? "f32";
        const k = dtype === "f16" || dtype === "bf16" ? 35 : 256;
        const x = randomTensor(rng, "f32", i % 2 ? [tokens, CHOSEN, k] : [tokens, k]);
        const experts = ids((["i32", "i64", "u8"] as const)[i % 3] ?? "i32", tokens, pick);
        return { name: `pattern ${i}, ${tokens} tokens`, slots: [x, weightTensor(rng, dtype, [EXPERTS, N, k]), experts], attrs: {} };
      }),
    );
    const results = resultsOf(backendOf(variant), ops.groupedLinear, samples);
    expectNoFaults();
    expect(wrongResults(ops.groupedLinear, samples, results)).toEqual([]);
  });

  test.each([0, 5])("one program from %i tokens on has both ways; a place has the same bits whatever the others are", async (min) => {
    const tokens = dim("tokens", { min, max: 40 });
    const rng = new Rng(2);
    const w = weightTensor(rng, "q4_0", [EXPERTS, N, 64]);
    const all = { x: randomTensor(rng, "f32", [40, 64]), experts: ids("i32", 40, () => rng.int(0, EXPERTS - 1)) };
    const graph = define("experts", (g) => {
      const y = g.groupedLinear(g.input("x", "f32", [tokens, 64]), g.constant(w), g.input("experts", "i32", [tokens, CHOSEN]));
      return { y };
    });
    using session = await openSession(variant);
    using compiled = session.compileSync(graph);
    const seen = new Map<string, Uint8Array>();
    for (const count of [0, 1, 5, 6, 17, 40].filter((n) => n >= min)) {
      const [x, experts] = [all.x, all.experts].map((t) =>
        Tensor.fromBytes(t.dtype, t.shape.with(0, count), t.bytes.slice(0, (t.bytes.length / 40) * count)),
      );
      const y = compiled.runSync({ inputs: { x: x as Tensor, experts: experts as Tensor } }).y as Tensor;
      expectNoFaults();
      const expected = Tensor.zeros("f32", y.shape);
      const slots = [x, w, experts];
      runReference(ops.groupedLinear, slots, {}, [expected]);
      expect(findMismatch(ops.groupedLinear, slots, {}, [expected], [y]), `${count} tokens`).toBeUndefined();
      for (let place = 0; place < count * CHOSEN; place++) {
        const key = `${2 * count > 2 * EXPERTS} ${place}`;
        const bytes = y.bytes.slice(place * N * 4, (place + 1) * N * 4);
        expect(bytes, key).toEqual(seen.get(key) ?? bytes);
        seen.set(key, bytes);
      }
    }
  });

  test("of several experts that are not there the first is refused, with few places and with many", () => {
    const rng = new Rng(3);
    const backend = backendOf(variant);
    for (const tokens of [3, 30]) {
      const x = randomTensor(rng, "f32", [tokens, 8]);
      const refused = (experts: number, pick: (place: number) => number) => () =>
        run(backend, x, randomTensor(rng, "f32", [experts, 3, 8]), ids("i32", tokens, pick));
      expect(refused(4, (i) => (i === 5 ? 4 : i === 4 ? -1 : 0))).toThrow("index 4: expected 0 to 3, got -1");
      expect(refused(4, (i) => (i >= 1 ? 7 : 3))).toThrow("index 1: expected 0 to 3, got 7");
      expect(refused(0, () => 0)).toThrow("index 0: expected 0 to -1, got 0");
      expectNoFaults();
    }
  });
});

test("few places are one launch; many are ordered first; where extents decide, all three are there", () => {
  const launchesOf = (tokens: number | ReturnType<typeof dim>): string[] => {
    const graph = define("experts", (g) => ({
      y: g.groupedLinear(g.input("x", "f32", [tokens, 64]), g.param("w", "q8_0", [EXPERTS, N, 64]), g.input("e", "i32", [tokens, CHOSEN])),
    }));
    return planProgram(lowerGraph(graph, { kernels: metalKernels }), metalKernels).launches.map(({ launch }) => launch.function);
  };
  expect(launchesOf(1)).toEqual(["grouped_rows"]);
  expect(launchesOf(5)).toEqual(["grouped_rows"]);
  expect(launchesOf(6)).toEqual(["order_places", "grouped_tiles"]);
  expect(launchesOf(dim("tokens", { min: 1, max: 6 }))).toEqual(["grouped_rows", "order_places", "grouped_tiles"]);
});
