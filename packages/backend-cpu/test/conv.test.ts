import "@rlxjs/backend-cpu";
import { createNativeBackend, loadAddon } from "@rlxjs/backend-cpu";
import { define, dim, evaluateGraph, mulDims, ops, randomTensor, Rng, Tensor } from "@rlxjs/ir";
import { Session } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { OneOp } from "./one-op.ts";

const { addon } = loadAddon();

test("one graph of a symbolic length; activation and residual are finished in the kernel", async () => {
  const frames = dim("frames", { min: 0, max: 40 });
  const rng = new Rng(5);
  const w = randomTensor(rng, "f16", [9, 6, 3], 0.3);
  const bias = randomTensor(rng, "f32", [9]);
  const graph = define("conv", (g) => {
    const x = g.input("x", "f32", [2, 6, mulDims(2, frames)]);
    const shift = g.input("shift", "f32", [frames]);
    const y = g.conv1d(x, g.constant(w), { bias: g.constant(bias), stride: 2, padding: 1 });
    expect(y.shape.map(String)).toEqual(["2", "9", "frames"]);
    return g.add(g.gelu(y), shift);
  });
  using session = await Session.open({ device: "cpu" });
  using compiled = await session.compile(graph);
  if (addon) expect(compiled.dispatchReport.entries.map((e) => [e.op, e.choice])).toEqual([["with_epilogue", "native"]]);
  for (const n of [0, 1, 7, 40]) {
    const inputs = { x: randomTensor(rng, "f32", [2, 6, 2 * n]), shift: randomTensor(rng, "f32", [n]) };
    const { out } = await compiled.run({ inputs });
    const expected = evaluateGraph(graph, { inputs }).out;
    expect(out.shape).toEqual([2, 9, n]);
    for (const [i, v] of expected?.toArray().entries() ?? []) expect(out.get(i)).toBeCloseTo(v, 5);
  }
});

test.runIf(addon)("a position has the same bits in every signal that has its window, on any number of threads", () => {
  const rng = new Rng(6);
  const [channels, length] = [40, 101];
  const w = randomTensor(rng, "f32", [70, channels, 3]);
  const x = randomTensor(rng, "f32", [1, channels, length]);
  const run = (threads: number, from: number, to: number): number[][] => {
    if (!addon) throw new Error("no addon");
    using backend = createNativeBackend(addon, { threads });
    const part = Tensor.from(
      "f32",
      [1, channels, to - from],
      Array.from({ length: channels }, (_, c) => x.toArray().slice(c * length + from, c * length + to)).flat(),
    );
    const attrs = { stride: 1, padding: 0, dilation: 1, groups: 1 };
    using op = new OneOp(backend, ops.conv1d, { name: "conv1d", slots: [part, w, undefined], attrs });
    expect(op.kernel).toBe("conv1d");
    const values = op.runSync()[0]?.toArray() ?? [];
    const n = to - from - 2;
    return Array.from({ length: 70 }, (_, o) => values.slice(o * n, (o + 1) * n));
  };
  const all = run(1, 0, length);
  expect(run(2, 0, length)).toEqual(all);
  expect(run(2, 31, 60)).toEqual(all.map((row) => row.slice(31, 58)));
});
