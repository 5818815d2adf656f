import { type Builder, type DType, define, dim, Rng, randomTensor, Tensor, type Value } from "@rlxjs/ir";
import type { Session } from "@rlxjs/runtime";
import { afterEach, expect, test } from "vitest";
import { describeVariants, expectNoFaults, openSession } from "./variants.ts";

const [batch, heads, headDim, half, capacity] = [2, 3, 12, 4, 8];

interface Kind {
  readonly cache: readonly [DType, DType];
  readonly from: DType;
  readonly layout: "token" | "head";
  readonly interleaved: boolean;
}
/** Keys that turn and values, into a ring. */
const layer = ({ cache, from, layout, interleaved }: Kind) =>
  define("layer", (g: Builder) => {
    const seq = dim("seq", { min: 1, max: 4 });
    const [k, v] = ["k", "v"].map((name) => g.input(name, from, [batch, seq, heads * headDim])) as [Value, Value];
    const [cos, sin] = ["cos", "sin"].map((name) => g.input(name, "f32", [batch, seq, half])) as [Value, Value];
    const state = (name: string, dtype: DType): Value => {
      const stored = dtype === "q8_0" ? 32 : headDim;
      return g.state(name, dtype, layout === "token" ? [batch, capacity, heads * stored] : [batch, heads, capacity, stored]);
    };
    const turned = g.rope(k, cos, sin, { headDim, interleaved });
    const next = g.kvWritePair(state("keys", cache[0]), state("values", cache[1]), turned, v, g.input("pos", "i32", [batch]), {
      ...{ headDim, layout, ring: true },
    });
    return { keys: next.k, values: next.v };
  });

describeVariants("keys that turn on their way into a cache", (variant) => {
  afterEach(expectNoFaults);

  /** Bytes of both caches after some steps. */
  function written(
    session: Session,
    kind: Kind,
    fuse: boolean,
  ): { readonly ops: readonly string[]; readonly bytes: readonly Uint8Array[] } {
    using compiled = session.compileSync(layer(kind), { passes: { fuse } });
    using state = session.createState(compiled);
    const rng = new Rng(9);
    let pos = 0;
    for (const seq of [4, 1, 3, 4, 2]) {
      const x = () => randomTensor(rng, kind.from, [batch, seq, heads * headDim]);
      const [cos, sin] = ["cos", "sin"].map(() => randomTensor(rng, "f32", [batch, seq, half]));
      if (!cos || !sin) throw new Error("no tables");
      compiled.runSync({ inputs: { k: x(), v: x(), cos, sin, pos: Tensor.from("i32", [batch], [pos, pos + 3]) }, state });
      pos += seq;
    }
    return {
      ops: compiled.dispatchReport.entries.map((e) => e.op),
      bytes: ["keys", "values"].map((name) => state.read(name).bytes.slice()),
    };
  }

  test("are one launch, and have the bits of two", async () => {
    using session = await openSession(variant);
    for (const kind of [
      { cache: ["f16", "f16"], from: "f32", layout: "head", interleaved: false },
      { cache: ["f32", "bf16"], from: "f32", layout: "token", interleaved: true },
      { cache: ["f32", "q8_0"], from: "f16", layout: "token", interleaved: false },
      { cache: ["q8_0", "f16"], from: "bf16", layout: "head", interleaved: true },
    ] as const satisfies readonly Kind[]) {
      const [one, two] = [written(session, kind, true), written(session, kind, false)];
      expect(one.ops).toContain("rope_kv_write_pair");
      expect(two.ops).not.toContain("rope_kv_write_pair");
      expect(one.bytes, JSON.stringify(kind)).toEqual(two.bytes);
    }
  });

  test("what does not fit is refused before anything is written", async () => {
    using session = await openSession(variant);
    using compiled = session.compileSync(layer({ cache: ["f16", "q8_0"], from: "f32", layout: "head", interleaved: false }));
    using state = session.createState(compiled);
    const before = ["keys", "values"].map((name) => state.read(name).bytes.slice());
    const [k, cos] = [Tensor.zeros("f32", [batch, 2, heads * headDim]), Tensor.zeros("f32", [batch, 2, half])];
    const inputs = { k, v: k, cos, sin: cos, pos: Tensor.from("i32", [batch], [3, -1]) };
    expect(() => compiled.runSync({ inputs, state })).toThrow(
      "rope_kv_write_pair): pos of sequence 1: expected 0 to 9007199254740989 for 2 tokens in the 8 slots of kCache, got -1",
    );
    expect(["keys", "values"].map((name) => state.read(name).bytes)).toEqual(before);
  });
});
