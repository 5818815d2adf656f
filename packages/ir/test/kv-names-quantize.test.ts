import {
  AttrError,
  evaluateGraph,
  fwhtSignPremult,
  fwhtSignUndo,
  fwhtStandalone,
  graphBuilder,
  hadamardQuantizeKv,
  hadamardQuantizeKvDual,
  hadamardQuantizeKvHb,
  hadamardQuantizeKvHbSeq,
  hadamardQuantizeKvSeq,
  hadamardTransform,
  type KvCodec,
  kvCodec,
  Rng,
  RunError,
  randomTensor,
  ShapeError,
  Tensor,
  tqDequantizeHbKv,
  tqDequantizeKv,
  verifyGraph,
} from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { floats, Store, sameBytes } from "./support/quantized.ts";
import { gaussians } from "./xoshiro.ts";

const untyped = (v: unknown): never => v as never;
const v1 = (bits: 4 | 5 | 6 | 8, headDim = 256): KvCodec => kvCodec("mlx-native-v1", bits, headDim);
const tensor = (x: Float32Array): Tensor => Tensor.from("f32", [x.length], x);
const extents = { numKvHeads: 2, headDim: 256, cacheCapacity: 8 };
const sizes = { heads: 2, capacity: 8 };
const operands = ({ packed, norms }: Store) => ({ packed, norms });
/** Tokens of x [tokens, 2, headDim] at slots. */
function expected(codec: KvCodec, x: Float32Array, slots: readonly number[]): Store {
  const store = new Store(codec, sizes);
  const n = codec.headDim;
  for (const [t, slot] of slots.entries())
    for (let h = 0; h < 2; h++) store.encode(0, slot, h, x.subarray((2 * t + h) * n, (2 * t + h + 1) * n));
  return store;
}

describe("quantizers on tensors", () => {
  const x = gaussians(9999, 4 * 512);
  const src = tensor(x);

  test("one token, 4 bits and more, linear and sliding", () => {
    const four = new Store(v1(4), sizes);
    hadamardQuantizeKv({ src, ...operands(four), ...extents, writePos: 10, isSliding: true });
    expect(sameBytes(four, expected(v1(4), x, [2]))).toBe(true);
    for (const codebookBits of [5, 6, 8] as const) {
      const store = new Store(v1(codebookBits), sizes);
      hadamardQuantizeKvHb({ src, ...operands(store), ...extents, writePos: 7, codebookBits, scaleFactorD512: 1 });
      expect(sameBytes(store, expected(v1(codebookBits), x, [7]))).toBe(true);
    }
  });

  test("ranges: parts of a source, rings, the newest of too many", () => {
    const part = new Store(v1(4), sizes);
    hadamardQuantizeKvSeq({ src, ...operands(part), ...extents, writePosStart: 3, nTokens: 2, srcTokOffset: 1 });
    expect(sameBytes(part, expected(v1(4), x.subarray(512), [3, 4]))).toBe(true);
    const ring = new Store(v1(8), sizes);
    hadamardQuantizeKvHbSeq({ src, ...operands(ring), ...extents, writePosStart: 7, nTokens: 3, codebookBits: 8, isSliding: true });
    expect(sameBytes(ring, expected(v1(8), x, [7, 0, 1]))).toBe(true);
    const trimmed = new Store(v1(4), { heads: 2, capacity: 2 });
    const small = { ...extents, cacheCapacity: 2 };
    hadamardQuantizeKvSeq({ src, ...operands(trimmed), ...small, writePosStart: 0, nTokens: 3, isSliding: true, trim: true });
    for (const [slot, token] of [2, 1].entries())
      for (let h = 0; h < 2; h++) {
        const vector = x.subarray((2 * token + h) * 256, (2 * token + h + 1) * 256);
        const alone = new Store(v1(4));
        alone.encode(0, 0, 0, vector);
        expect(trimmed.vector(0, slot, h)).toEqual(alone.vector(0, 0, 0));
      }
  });

  test("K and V, and codecs that are not the reference's", () => {
    const [k, v] = [new Store(kvCodec("lloyd-max-v2", 6, 48), sizes), new Store(kvCodec("lloyd-max-v2", 6, 48), sizes)];
    const y = gaussians(5, 4 * 96);
    const stores = { packedK: k.packed, normsK: k.norms, packedV: v.packed, normsV: v.norms };
    const shape = { ...extents, headDim: 48, writePosStart: 1, nTokens: 2, codebookBits: 6 as const, codec: "lloyd-max-v2" as const };
    hadamardQuantizeKvDual({ srcK: src, srcV: tensor(y), ...stores, ...shape });
    expect(sameBytes(k, expected(k.codec, x, [1, 2])) && sameBytes(v, expected(v.codec, y, [1, 2]))).toBe(true);
  });

  test("nothing to write is no error", () => {
    const store = new Store(v1(4), sizes);
    hadamardQuantizeKv({ src: tensor(x.subarray(0, 0)), ...operands(store), ...extents, numKvHeads: 0, writePos: 99 });
    hadamardQuantizeKvSeq({ src, ...operands(store), ...extents, writePosStart: 99, nTokens: 0 });
    expect(sameBytes(store, new Store(v1(4), sizes))).toBe(true);
  });

  test("errors, and nothing has changed", () => {
    const store = new Store(v1(4), sizes);
    const one = { src, ...operands(store), ...extents, writePos: 0 };
    const range = { src, ...operands(store), ...extents, writePosStart: 0, nTokens: 2 };
    const hb = { ...one, codebookBits: 5 as const };
    const fails: readonly (readonly [new (...args: never) => Error, () => void])[] = [
      [AttrError, () => hadamardQuantizeKv({ ...one, headDim: 100 })],
      [AttrError, () => hadamardQuantizeKv({ ...one, headDim: 128 })],
      [AttrError, () => hadamardQuantizeKv({ ...one, codec: "lloyd-max-v2", headDim: 8 })],
      [AttrError, () => hadamardQuantizeKv({ ...one, codec: untyped("v3") })],
      [AttrError, () => hadamardQuantizeKv({ ...one, scaleFactorD512: untyped(16) })],
      [AttrError, () => hadamardQuantizeKv(untyped({ ...one, codebookBits: 8 }))],
      [AttrError, () => hadamardQuantizeKvHb(untyped(one))],
      [AttrError, () => hadamardQuantizeKvHb({ ...hb, codebookBits: untyped(4) })],
      [AttrError, () => hadamardQuantizeKv({ ...one, writePos: -1 })],
      [AttrError, () => hadamardQuantizeKv({ ...one, packed: untyped(new Uint8Array(9)) })],
      [RunError, () => hadamardQuantizeKv({ ...one, writePos: 8 })],
      [RunError, () => hadamardQuantizeKvSeq({ ...range, writePosStart: 7 })],
      [RunError, () => hadamardQuantizeKvSeq({ ...range, cacheCapacity: 1, isSliding: true })],
      [RunError, () => hadamardQuantizeKv({ ...one, cacheCapacity: 0, isSliding: true })],
      [ShapeError, () => hadamardQuantizeKv({ ...one, src: tensor(x.subarray(0, 511)) })],
      [ShapeError, () => hadamardQuantizeKv({ ...one, src: store.packed })],
      [ShapeError, () => hadamardQuantizeKv({ ...one, cacheCapacity: 9 })],
      [ShapeError, () => hadamardQuantizeKv({ ...one, norms: tensor(new Float32Array(15)) })],
      [ShapeError, () => hadamardQuantizeKvHb(hb)],
      [ShapeError, () => hadamardQuantizeKv({ ...one, cacheCapacity: 2 ** 24 })],
      [
        RunError,
        () => hadamardQuantizeKv({ ...one, src: Tensor.fromBytes("f32", [512], new Uint8Array(store.packed.data.buffer, 64, 2048)) }),
      ],
      [
        RunError,
        () =>
          hadamardQuantizeKvDual({
            ...{ srcK: src, srcV: src, packedK: store.packed, packedV: store.packed, normsK: store.norms, normsV: store.norms },
            ...{ ...extents, writePosStart: 0, nTokens: 1, codebookBits: 4 },
          }),
      ],
    ];
    for (const [type, call] of fails) {
      expect(call).toThrow(type);
      expect(sameBytes(store, new Store(v1(4), sizes)) && store.intact()).toBe(true);
    }
    expect(() => hadamardQuantizeKv({ ...one, headDim: 100 })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [hadamardQuantizeKv] headDim: expected one of 256, 512 for mlx-native-v1, got 100]`,
    );
    expect(() => hadamardQuantizeKv({ ...one, writePos: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[RunError: [hadamardQuantizeKv] writePos of sequence 0: expected 0 to 7 for 1 tokens in the 8 slots of packed, got 8]`,
    );
    expect(() => hadamardQuantizeKv({ ...one, src: tensor(x.subarray(0, 511)) })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [hadamardQuantizeKv] src: expected at least 512 elements for [1, 1, 512], got 511]`,
    );
    expect(() => hadamardQuantizeKv({ ...one, scaleFactorD512: untyped(16) })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [hadamardQuantizeKv] scaleFactorD512: expected 1 (bare), got 16]`,
    );
    expect(() => hadamardQuantizeKvHb({ ...hb, codebookBits: untyped(4) })).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [hadamardQuantizeKvHb] codebookBits: expected one of 5, 6, 8, got 4]`,
    );
  });
});

test("decoders: one position, a range across the end of a ring, errors", () => {
  const x = gaussians(1, 3 * 512);
  const store = new Store(v1(8), sizes);
  hadamardQuantizeKvHbSeq({
    src: tensor(x),
    ...operands(store),
    ...extents,
    writePosStart: 6,
    nTokens: 3,
    codebookBits: 8,
    isSliding: true,
  });
  const dst = Tensor.zeros("f32", [3, 2, 256]);
  const read = { ...operands(store), dst, ...extents, codebookBits: 8 as const };
  tqDequantizeHbKv({ ...read, readPos: 6, nTokens: 3, isSliding: true });
  const rotated = tensor(x.slice());
  fwhtSignPremult({ data: rotated, numHeads: 6, headDim: 256 });
  let [error, energy] = [0, 0];
  for (let i = 0; i < dst.size; i++) {
    error += (dst.get(i) - rotated.get(i)) ** 2;
    energy += rotated.get(i) ** 2;
  }
  expect(Math.sqrt(error / energy)).toBeLessThan(0.0079 * 1.1);
  const one = Tensor.zeros("f32", [2, 256]);
  tqDequantizeHbKv({ ...read, dst: one, readPos: 0 });
  expect(floats(one)).toEqual(floats(dst).subarray(1024));
  expect(() => tqDequantizeHbKv({ ...read, readPos: 8 })).toThrow(RunError);
  expect(() => tqDequantizeHbKv({ ...read, dst: tensor(new Float32Array(511)), readPos: 0 })).toThrow(ShapeError);
  expect(() => tqDequantizeKv({ ...operands(store), dst, ...extents, headDim: 100, readPos: 0 })).toThrow(AttrError);
  tqDequantizeKv({ ...operands(store), dst, ...extents, numKvHeads: 0, readPos: 99 });
});

test("rotations: known values, each way back, errors", () => {
  const data = tensor(Float32Array.of(1, 2, 3, 4));
  hadamardTransform({ data, numHeads: 1, headDim: 4 });
  expect([...floats(data)]).toEqual([5, -1, -2, 0]);
  fwhtStandalone({ data, numHeads: 1, headDim: 4 });
  expect([...floats(data)]).toEqual([1, 2, 3, 4]);
  const x = gaussians(3, 512);
  const rotated = tensor(x.slice());
  fwhtSignPremult({ data: rotated, numHeads: 2, headDim: 256 });
  fwhtSignUndo({ data: rotated, numHeads: 2, headDim: 256 });
  for (const [i, v] of x.entries()) expect(Math.abs(rotated.get(i) - v)).toBeLessThan(2e-6);
  fwhtSignPremult({ data, numHeads: 0, headDim: 100 });
  expect(() => fwhtSignPremult({ data, numHeads: 1, headDim: 3 })).toThrow(ShapeError);
  expect(() => fwhtStandalone({ data, numHeads: 2, headDim: 4 })).toThrow(ShapeError);
  expect(() => fwhtSignUndo({ data: Tensor.zeros("f32", [1024]), numHeads: 1, headDim: 1024 })).toThrow(ShapeError);
  expect(() => fwhtStandalone(untyped({ data: [1, 2], numHeads: 1, headDim: 2 }))).toThrow(AttrError);
});

describe("in graphs", () => {
  test("one node each, with the results on tensors", () => {
    const rng = new Rng(2);
    const [k, v] = [randomTensor(rng, "f32", [3, 2, 256]), randomTensor(rng, "f32", [3, 2, 256])];
    const g = graphBuilder("quantized");
    const state = (name: string, dtype: "u8" | "f32", each: number) => g.state(name, dtype, [1, 2, 8, each]);
    const [one, hb] = [
      { packed: state("p4", "u8", 128), norms: state("n4", "f32", 1) },
      { packed: state("p8", "u8", 256), norms: state("n8", "f32", 1) },
    ];
    const [kIn, vIn, pos] = [g.input("k", "f32", [3, 2, 256]), g.input("v", "f32", [3, 2, 256]), g.input("pos", "i32", [])];
    const token = g.reshape(g.slice(kIn, { axis: 0, start: 0, size: 1 }), { shape: [2, 256] });
    const next = hadamardQuantizeKv(g, { src: token, ...one, writePos: pos, isSliding: true });
    const wide = hadamardQuantizeKvHbSeq(g, { src: kIn, ...hb, writePosStart: 3, nTokens: 2, srcTokOffset: 1, codebookBits: 8 });
    const pair = hadamardQuantizeKvDual(g, {
      ...{ srcK: kIn, packedK: state("pk", "u8", 128), normsK: state("nk", "f32", 1) },
      ...{ srcV: vIn, packedV: state("pv", "u8", 128), normsV: state("nv", "f32", 1) },
      ...{ writePosStart: pos, codebookBits: 4, isSliding: true },
    });
    g.output("read", tqDequantizeHbKv(g, { ...wide, headDim: 256, readPos: 3, nTokens: 2, codebookBits: 8 }));
    g.output("rotated", fwhtSignPremult(g, { data: kIn }));
    for (const [name, value] of Object.entries({ ...next, ...pair })) g.output(name, value);
    const graph = g.build();
    verifyGraph(graph);
    expect(graph.nodes.map((n) => n.op).filter((op) => op.startsWith("kv_") || op === "fwht")).toEqual([
      "kv_quantize",
      "kv_quantize",
      "kv_quantize_pair",
      "kv_dequantize",
      "fwht",
    ]);
    const states = new Map<string, Tensor>();
    const out = evaluateGraph(graph, { inputs: { k, v, pos: Tensor.from("i32", [], [10]) }, states });
    const bytes = (name: string): Uint8Array | undefined => states.get(name)?.bytes;
    const alone = expected(v1(4), floats(k).slice(0, 512), [2]);
    expect([bytes("p4"), bytes("n4")]).toEqual([alone.packed.bytes, alone.norms.bytes]);
    const dual = expected(v1(4), floats(v), [2, 3, 4]);
    expect([bytes("pv"), bytes("nv")]).toEqual([dual.packed.bytes, dual.norms.bytes]);
    const eight = expected(v1(8), floats(k).slice(512), [3, 4]);
    expect([bytes("p8"), bytes("n8")]).toEqual([eight.packed.bytes, eight.norms.bytes]);
    const dst = Tensor.zeros("f32", [2, 2, 256]);
    tqDequantizeHbKv({ ...operands(eight), dst, ...extents, readPos: 3, nTokens: 2, codebookBits: 8 });
    expect(out.read).toEqual(dst);
    fwhtSignPremult({ data: k, numHeads: 6, headDim: 256 });
    expect(out.rotated).toEqual(k);
  });

  test("errors name the function and the argument", () => {
    const g = graphBuilder("wrong");
    const src = g.input("src", "f32", [2, 256]);
    const store = { packed: g.state("p", "u8", [1, 2, 8, 128]), norms: g.state("n", "f32", [1, 2, 8, 1]) };
    expect(() => hadamardQuantizeKv(g, untyped({ src, ...store }))).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [hadamardQuantizeKv] writePos: expected a value or a number, got nothing]`,
    );
    expect(() => hadamardQuantizeKvSeq(g, { src, ...store, writePosStart: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [hadamardQuantizeKvSeq] src: expected 3 axes, got f32[2, 256]]`,
    );
    expect(() => hadamardQuantizeKvHb(g, { src, ...store, writePos: 0, codebookBits: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: [kv_quantize] packed: expected [1, 2, 8, 256], got u8[1, 2, 8, 128]]`,
    );
    expect(() => fwhtStandalone(g, untyped({ data: 3 }))).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [fwhtStandalone] data: expected a value of the graph, got 3]`,
    );
  });
});
