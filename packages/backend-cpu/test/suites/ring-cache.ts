import { defineHir, dim, type KvFormat, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { WeightStore } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "../../../runtime/test/suites/open-session.ts";

const [batch, heads, kvHeads, headDim, width, window, most] = [2, 4, 2, 16, 24, 5, 4];
const length = 40;

/** A layer that attends within a window, over a ring or over a cache of the whole sequence. */
const layer = (kFormat: KvFormat, vFormat: KvFormat, layout: "token" | "head", ring: boolean) =>
  defineHir("layer", (h) =>
    h.attention(h.input("x", "f32", [batch, dim("seq", { min: 1, max: most }), width]), {
      pos: h.input("pos", "i32", [batch]),
      q: "q",
      k: "k",
      v: "v",
      o: "o",
      numHeads: heads,
      numKvHeads: kvHeads,
      headDim,
      window,
      pastK: "k0",
      pastV: "v0",
      capacity: ring ? window + most - 1 : length,
      kFormat,
      vFormat,
      layout,
      ring,
    }),
  );

/** Sliding windows over ring caches of every format. */
export function ringCacheSuite(open: OpenSession): void {
  const rng = new Rng(5);
  const weights = new WeightStore({
    q: randomTensor(rng, "f32", [heads * headDim, width], 0.3),
    k: randomTensor(rng, "f32", [kvHeads * headDim, width], 0.3),
    v: randomTensor(rng, "f32", [kvHeads * headDim, width], 0.3),
    o: randomTensor(rng, "f32", [width, heads * headDim], 0.3),
  });
  afterAll(() => weights[Symbol.dispose]());
  const x = randomTensor(rng, "f32", [batch, length, width]);
  /** Rows of each sequence from its own position on. */
  const rowsAt = (positions: readonly number[], count: number): Tensor => {
    const rows = new Float32Array(batch * count * width);
    const all = x.values();
    for (const [b, pos] of positions.entries())
      rows.set(all.subarray((b * length + pos) * width, (b * length + pos + count) * width), b * count * width);
    return Tensor.from("f32", [batch, count, width], rows);
  };

  test.each<[KvFormat, KvFormat, "token" | "head"]>([
    ["f32", "f32", "token"],
    ["f16", "f16", "head"],
    ["q8_0", "bf16", "head"],
    ["lloyd-max-v2:4", "lloyd-max-v2:8", "head"],
    ["lloyd-max-v2:5", "q8_0", "token"],
  ])("%s and %s, %s-major: a ring of window + tokens - 1 slots gives what the whole cache gives", async (k, v, layout) => {
    using session = await open();
    using ring = await session.compile(layer(k, v, layout, true), { weights });
    using whole = await session.compile(layer(k, v, layout, false), { weights });
    using kept = session.createState(ring);
    using all = session.createState(whole);
    let pos = 0;
    // The second sequence is two tokens ahead: each has a start of its own.
    for (const count of [2, 4, 1, 1, 3, 4, 4, 2, 1, 4, 3, 4]) {
      const positions = pos === 0 ? [0, 0] : [pos - 2, pos];
      const inputs = { x: rowsAt(positions, count), pos: Int32Array.from(positions) };
      const [a, b] = [await ring.run({ inputs, state: kept }), await whole.run({ inputs, state: all })];
      const error = Math.max(...a.out.toArray().map((y, i) => Math.abs(y - b.out.get(i))));
      expect(error, `from ${positions}`).toBeLessThan(1e-5);
      pos += count;
    }
    expect(pos).toBeGreaterThan(3 * (window + most - 1));
  });
}
