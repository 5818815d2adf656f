import { define, type Graph, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { BucketedCompileCache } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import {
  crossAttnGpuHandlesReady,
  type CrossAttnKv,
  GpuKvBinding,
  installCrossAttnGpuHandles,
  KvCacheState,
  runBucketedKvDecode,
  runBucketedKvDecodeGpu,
} from "../../../src/index.ts";
import { maxDifference } from "../decode-loop.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

export async function crossAttentionSuite(open: OpenSession): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  /** One layer that attends to itself and to an encoder's five rows; all heads of 4 elements. */
  const decoder = (upper: number): Graph =>
    define(`cross.${upper}`, (g) => {
      const x = g.input("inputs_embeds", "f32", [2, 1, 4]);
      const heads = { numHeads: 1, numKvHeads: 1, headDim: 4 };
      const [k, v] = ["past_k_0", "past_v_0"].map((name) => g.concat([g.input(name, "f32", [2, upper, 4]), x], { axis: 1 }));
      if (!k || !v) throw new Error("expected keys and values");
      const own = g.attention(x, k, v, { ...heads, mask: g.input("mask", "bool", [2, upper + 1]), maskKind: "keep" });
      const [crossK, crossV] = [g.input("cross_k_0", "f32", [2, 5, 4]), g.input("cross_v_0", "f32", [2, 5, 4])];
      return { logits: g.attention(own, crossK, crossV, heads), k_0: k, v_0: v };
    });

  const rng = new Rng(23);
  const encoded = (): CrossAttnKv => ({ layersK: [randomTensor(rng, "f32", [2, 5, 4])], layersV: [randomTensor(rng, "f32", [2, 5, 4])] });
  const ranges = [
    { start: 0, end: 3 },
    { start: 3, end: 9 },
  ];
  const build = (upper: number) => ({ graph: decoder(upper), params: {} });
  const rows = Array.from({ length: 6 }, () => randomTensor(rng, "f32", [2, 1, 4]));

  /** Logits of six steps that are given the encoder's rows as inputs each time. */
  async function byInputs({ layersK, layersV }: CrossAttnKv): Promise<number[][]> {
    using cache = new BucketedCompileCache(session, ranges);
    const kv = new KvCacheState({ batch: 2, kvDims: [4] });
    const out: number[][] = [];
    for (const x of rows) {
      const inputs = { inputs_embeds: x, cross_k_0: layersK[0] ?? x, cross_v_0: layersV[0] ?? x };
      out.push((await runBucketedKvDecode({ cache, kv, inputs, build })).logits.toArray());
    }
    return out;
  }

  describe.each(["host", "resident"] as const)("rows %s", (where) => {
    test("are installed once per graph, follow a rollover on the device, and change with the encoder's output", async () => {
      using cache = new BucketedCompileCache(session, ranges);
      using binding = new GpuKvBinding();
      for (const [round, crossAttn] of [encoded(), encoded()].entries()) {
        const kv = new KvCacheState({ batch: 2, kvDims: [4] });
        const expected = await byInputs(crossAttn);
        for (const [n, x] of rows.entries()) {
          const call = { cache, kv, inputs: { inputs_embeds: x }, build, crossAttn };
          const { logits } = await (where === "host" ? runBucketedKvDecode(call) : runBucketedKvDecodeGpu({ ...call, binding }));
          expect(maxDifference(logits.toArray(), expected[n] ?? [])).toBeLessThan(1e-6);
        }
        // To the second graph went the tokens and masks of four steps in each round, and nothing else.
        const second = binding.compiled;
        if (second) expect([second.name, second.stats().toDeviceBytes]).toEqual(["cross.8", (round + 1) * 4 * (2 * 4 * 4 + 2 * 9)]);
        expect(second !== undefined).toBe(where === "resident");
        binding.reset();
      }
    });
  });

  test("handles are ready once they are installed", async () => {
    using compiled = await session.compile(decoder(2));
    expect(crossAttnGpuHandlesReady(compiled, 1)).toBe(false);
    installCrossAttnGpuHandles(compiled, encoded());
    expect([crossAttnGpuHandlesReady(compiled, 1), crossAttnGpuHandlesReady(compiled, 2)]).toEqual([true, false]);
    const past = Tensor.zeros("f32", [2, 2, 4]);
    const inputs = {
      inputs_embeds: rows[0] ?? past,
      past_k_0: past,
      past_v_0: past,
      mask: Tensor.from("bool", [2, 3], [0, 0, 1, 0, 0, 1]),
    };
    const before = compiled.stats().toDeviceBytes;
    await compiled.run({ inputs });
    expect(compiled.stats().toDeviceBytes - before).toBe(2 * 4 * 4 + 2 * 2 * 2 * 4 * 4 + 6);
  });

  test("keys and values of other shapes or numbers are refused", async () => {
    using compiled = await session.compile(decoder(2));
    const { layersK } = encoded();
    expect(() => installCrossAttnGpuHandles(compiled, { layersK, layersV: [] })).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: cross attention: expected as many layers of values as of keys (1), got 0]`,
    );
    expect(() =>
      installCrossAttnGpuHandles(compiled, { layersK, layersV: [Tensor.zeros("f32", [2, 4, 4])] }),
    ).toThrowErrorMatchingInlineSnapshot(`[InputShapeError: graph "cross.2": input "cross_v_0": expected f32[2, 5, 4], got f32[2, 4, 4]]`);
    expect(crossAttnGpuHandlesReady(compiled, 1)).toBe(false);
  });
}
