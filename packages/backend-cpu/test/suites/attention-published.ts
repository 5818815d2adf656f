import { decodeKvVector, encodeKvVector, fwhtThenSign, type KvBits, kvCodec, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { gaussians } from "../../../ir/test/xoshiro.ts";
import {
  farthest,
  formula,
  indexHash,
  integer,
  integers,
  lcg,
  lcgNormals,
  nrmse,
  type Problem,
  problemCall,
  runKernel,
  type TwoWays,
} from "./attention-problem.ts";

// Published cases of attention kernels, under our conventions: positions are absolute, a window of W keys is W keys, softcap is applied.
// Values are at most about 1, so f32 results are within 1e-6 of the formula (the published tolerances are 1e-3 and 1e-2).

const f32 = (shape: readonly number[], values: ArrayLike<number>): Tensor => Tensor.from("f32", shape, values);
type Sizes = readonly [heads: number, kvHeads: number, dim: number, queries: number, length: number];
const problem = ([heads, kvHeads, dim, queries, length]: Sizes, more: Partial<Problem> = {}): Problem => ({
  heads,
  kvHeads,
  dim,
  queries,
  length,
  causal: true,
  ...more,
});

interface Data {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}
const sizes = ({ batch = 1, heads, kvHeads, dim, queries, length, capacity = length }: Problem) => ({
  q: batch * queries * heads * dim,
  kv: batch * kvHeads * capacity * dim,
});
const g1 = (p: Problem): Data => ({ q: lcg(42, sizes(p).q), k: lcg(137, sizes(p).kv), v: lcg(999, sizes(p).kv) });
const g2 = (p: Problem, seed: number): Data => ({
  q: indexHash(seed, sizes(p).q),
  k: indexHash(seed + 10000, sizes(p).kv),
  v: indexHash(seed + 20000, sizes(p).kv),
});

/** On a device whose kernel takes all of them. */
export function attentionPublishedSuite({ one, two }: TwoWays): void {
  /** The kernel on float tensors of a dtype; slots that hold no key are NaN. */
  function kernel(
    p: Problem,
    { q, k, v }: Data,
    { dtype = "f32" as "f32" | "f16" | "bf16", mask = undefined as Tensor | undefined } = {},
  ): Tensor {
    const { batch = 1, heads, kvHeads, dim, queries, length, capacity = length, ringStart = 0 } = p;
    const cache = (x: Float32Array): Tensor => {
      const t = Tensor.from(dtype, [batch, kvHeads, capacity, dim], x);
      for (let i = 0; i < t.size; i++)
        if (((Math.floor(i / dim) % capacity) - ringStart + capacity) % capacity >= length) t.set(i, Number.NaN);
      return t;
    };
    const query = Tensor.from(dtype === "bf16" ? "bf16" : "f32", [batch, queries, heads * dim], q);
    return runKernel(one(), ...problemCall(p, query, cache(k), cache(v), mask));
  }
  const expectFormula = (p: Problem, d: Data, tolerance = 1e-6): void =>
    expect(farthest(kernel(p, d).values(), formula(p, d.q, d.k, d.v))).toBeLessThan(tolerance);

  describe("sdpa", () => {
    test.each([
      problem([4, 4, 64, 32, 32]),
      problem([16, 8, 64, 32, 32]),
      problem([16, 2, 64, 32, 32]),
      problem([4, 4, 64, 1, 64]),
      problem([16, 8, 64, 1, 128]),
      problem([4, 4, 32, 128, 128]),
      problem([4, 4, 32, 16, 16], { batch: 2 }),
      problem([4, 2, 128, 16, 16]),
      problem([4, 2, 64, 8, 24], { capacity: 40 }),
    ])("%j", (p) => expectFormula(p, g1(p)));

    test("bf16: rounded once", () => {
      const p = problem([4, 2, 64, 8, 24]);
      const [q, k, v] = Object.values(g1(p)).map((x) => Float32Array.from(Tensor.from("bf16", [x.length], x).values()));
      const data = { q: q ?? new Float32Array(), k: k ?? new Float32Array(), v: v ?? new Float32Array() };
      const got = kernel(p, data, { dtype: "bf16" });
      const expected = formula(p, data.q, data.k, data.v);
      for (const [i, y] of expected.entries()) expect(Math.abs(got.get(i) - y)).toBeLessThan(Math.abs(y) * 2 ** -8 + 1e-6);
    });
  });

  describe("sliding windows keep exactly W keys", () => {
    test.each([
      problem([4, 4, 32, 64, 64], { window: 16 }),
      problem([16, 8, 32, 64, 64], { window: 16 }),
      problem([4, 4, 32, 1, 64], { window: 16 }),
      problem([4, 4, 32, 32, 32], { window: 8, batch: 2 }),
    ])("%j", (p) => {
      const data = g1(p);
      expectFormula(p, data);
      const wider = { ...p, window: (p.window ?? 0) + 1 };
      expect(farthest(kernel(wider, data).values(), kernel(p, data).values())).toBeGreaterThan(1e-4);
    });
    test("a window that is longer than the sequence hides nothing", () => {
      const p = problem([4, 4, 32, 16, 16]);
      expect(kernel({ ...p, window: 64 }, g1(p)).bytes).toEqual(kernel(p, g1(p)).bytes);
    });
  });

  describe("decode with room behind the keys", () => {
    test.each([
      [problem([4, 4, 256, 1, 32], { capacity: 64, scale: 1 / 16 }), 42],
      [problem([16, 8, 256, 1, 48], { capacity: 64, scale: 1 }), 100],
      [problem([4, 4, 256, 1, 64], { capacity: 128, scale: 1, window: 16 }), 777],
      [problem([4, 4, 512, 1, 32], { capacity: 64 }), 1111],
      [problem([16, 8, 512, 1, 48], { capacity: 64, scale: 1 }), 2222],
      [problem([16, 8, 256, 1, 48], { capacity: 50, scale: 1 }), 100],
      [problem([16, 8, 256, 1, 45], { capacity: 45, scale: 1, softcap: 5 }), 3],
    ] as const)("%j, seed %i", (p, seed) => {
      // With scale 1 scores go up to some 20, whose rounding the weights multiply.
      expectFormula(p, g2(p, seed), p.scale === 1 ? 2e-5 : 2e-6);
    });

    test("softcap changes the result", () => {
      const p = problem([4, 4, 256, 1, 32], { scale: 1 });
      expect(farthest(kernel({ ...p, softcap: 2 }, g2(p, 5)).values(), kernel(p, g2(p, 5)).values())).toBeGreaterThan(0.01);
    });
    test("65536 keys", () => {
      const p = problem([2, 1, 16, 1, 65536], { window: 60000 });
      expectFormula(p, g2(p, 9), 2e-6);
    });
  });

  describe("quantized caches: the formula over the decoded cache", () => {
    /** q and both sides of a cache of the codec, as tensors and as the values that they stand for. */
    function quantized(id: "mlx-native-v1" | "lloyd-max-v2", bits: KvBits, p: Problem, normals: (n: number) => Float32Array) {
      const { heads, kvHeads, dim, length } = p;
      const codec = kvCodec(id, bits, dim);
      const q = normals(heads * dim);
      const side = () => ({
        packed: Tensor.zeros("u8", [1, kvHeads, length, codec.packedBytes]),
        norms: new Float32Array(kvHeads * length * codec.norms),
        plain: new Float32Array(kvHeads * length * dim),
      });
      const [k, v] = [side(), side()];
      for (let row = 0; row < kvHeads * length; row++)
        for (const { packed, norms, plain } of [k, v]) {
          const codes = packed.bytes.subarray(row * codec.packedBytes, (row + 1) * codec.packedBytes);
          const scales = norms.subarray(row * codec.norms, (row + 1) * codec.norms);
          const values = plain.subarray(row * dim, (row + 1) * dim);
          encodeKvVector(codec, Float32Array.from(normals(dim)), codes, scales);
          decodeKvVector(codec, codes, scales, values);
          fwhtThenSign(values);
        }
      return { q, k, v, codec };
    }
    const gauss = (seed: number) => {
      const all = gaussians(seed, 1 << 18);
      let end = 0;
      return (n: number): Float32Array => {
        end += n;
        return all.subarray(end - n, end);
      };
    };

    test.each([
      [4, problem([8, 4, 256, 1, 64], { scale: 1 }), gauss(42)],
      [4, problem([4, 2, 512, 1, 32], { scale: 1 }), gauss(123)],
      [4, problem([4, 4, 256, 1, 8], { scale: 1 }), gauss(999)],
      [8, problem([8, 4, 256, 1, 64]), lcgNormals(0xc25eed)],
      [8, problem([8, 4, 256, 1, 256], { window: 64 }), lcgNormals(0xcafe)],
      [5, problem([4, 2, 256, 1, 32]), lcgNormals(0xbabe)],
      [6, problem([4, 2, 256, 1, 32]), lcgNormals(0xdeadbeef)],
      [8, problem([32, 4, 256, 1, 1024]), lcgNormals(0x4426)],
      ...([5, 6, 8] as const).map((bits) => [bits, problem([4, 2, 512, 1, 40], { window: 33 }), lcgNormals(bits)] as const),
    ] as const)("mlx-native-v1 at %i bits, %j", (bits, p, normals) => check("mlx-native-v1", bits, p, normals));
    test.each([
      [4, problem([8, 2, 128, 1, 300]), lcgNormals(1)],
      [4, problem([4, 4, 80, 1, 77]), lcgNormals(2)],
      [5, problem([4, 2, 64, 1, 300], { window: 100 }), lcgNormals(3)],
      [6, problem([4, 2, 96, 1, 40], { softcap: 4 }), lcgNormals(4)],
      [8, problem([4, 1, 512, 1, 40]), lcgNormals(5)],
    ] as const)("lloyd-max-v2 at %i bits, %j", (bits, p, normals) => check("lloyd-max-v2", bits, p, normals));

    /** The published bound is an NRMSE of 0.15; ours is rounding: of scores up to some 70 (scale 1), and of the decoded cache to f32. */
    function check(id: "mlx-native-v1" | "lloyd-max-v2", bits: KvBits, p: Problem, normals: (n: number) => Float32Array): void {
      const { q, k, v, codec } = quantized(id, bits, p, normals);
      const [operands, attrs] = problemCall(p, f32([1, 1, q.length], q), k.packed, v.packed);
      const norms = (x: Float32Array): Tensor => f32([1, p.kvHeads, p.length, codec.norms], x);
      const full = { ...operands, kNorms: norms(k.norms), vNorms: norms(v.norms) };
      const coded = { ...attrs, kCodec: `${id}:${bits}`, vCodec: `${id}:${bits}` };
      const got = runKernel(one(), full, coded);
      expect(nrmse(got.values(), formula(p, q, k.plain, v.plain))).toBeLessThan(p.scale === 1 ? 2e-5 : 2e-6);
      expect(runKernel(two(), full, coded).bytes).toEqual(got.bytes);
    }
  });

  describe("prefill", () => {
    const additive = (queries: number, length: number): { mask: Tensor; bias: (i: number, j: number) => number } => {
      const values = Float32Array.from({ length: queries * length }, (_, at) =>
        at % 7 === 3 ? Number.NEGATIVE_INFINITY : ((at * 37) % 11) / 10 - 0.5,
      );
      return { mask: f32([queries, length], values), bias: (i, j) => values[i * length + j] ?? 0 };
    };
    test.each([32, 128])("%i queries, seen whole and causally", (n) => {
      const p = problem([2, 2, 256, n, n]);
      expectFormula(p, g1(p));
      expectFormula({ ...p, causal: false }, g1(p));
    });
    test.each([
      problem([8, 2, 256, 128, 128]),
      problem([2, 2, 256, 50, 64]),
      problem([2, 2, 256, 32, 50], { causal: false }),
      problem([2, 2, 512, 32, 72], { causal: false, scale: 1 }),
      problem([12, 12, 64, 40, 40]),
    ])("%j", (p) => expectFormula(p, g1(p), p.scale === 1 ? 1e-5 : 1e-6));

    test("an additive mask, of two axes and of four", () => {
      const { mask, bias } = additive(128, 128);
      const p = problem([2, 2, 256, 128, 128], { causal: false, bias });
      const d = g1(p);
      const got = kernel(p, d, { mask });
      expect(farthest(got.values(), formula(p, d.q, d.k, d.v))).toBeLessThan(1e-6);
      const full = f32(
        [1, 2, 128, 128],
        Float32Array.from({ length: 2 * 128 * 128 }, (_, i) => mask.get(i % mask.size)),
      );
      expect(kernel(p, d, { mask: full }).bytes).toEqual(got.bytes);
      expect(kernel(p, d, { mask }).bytes).toEqual(got.bytes);
    });
    test("a row that sees nothing is zeros", () => {
      const p = problem([2, 2, 64, 32, 32], { causal: false });
      const mask = f32([32, 32], new Float32Array(32 * 32).fill(Number.NEGATIVE_INFINITY));
      expect(kernel(p, g1(p), { mask }).bytes).toEqual(new Uint8Array(32 * 128 * 4));
    });
    test("2455 queries under a mask of windows, as by the attribute", () => {
      const n = 2455;
      const p = problem([1, 1, 64, n, n], { causal: false });
      const hidden = (i: number, j: number): boolean => j > i || j <= i - 1024;
      const mask = f32(
        [n, n],
        Float32Array.from({ length: n * n }, (_, at) => (hidden(Math.floor(at / n), at % n) ? Number.NEGATIVE_INFINITY : 0)),
      );
      const d = g2(p, 17);
      const masked = kernel(p, d, { mask });
      const rows = [0, 1023, 1024, 1025, 2047, n - 1];
      const expected = formula({ ...p, causal: true, window: 1024 }, d.q, d.k, d.v, rows);
      const at = (x: ArrayLike<number>): number[] => rows.flatMap((r) => Array.from(x).slice(r * 64, (r + 1) * 64));
      expect(farthest(at(masked.values()), at(expected))).toBeLessThan(1e-6);
      expect(farthest(masked.values(), kernel({ ...p, causal: true, window: 1024 }, d).values())).toBeLessThan(1e-6);
    });

    // The published kernel lets 55 and 264 keys through here.
    test.each([problem([1, 1, 256, 59, 64], { start: 5 }), problem([1, 1, 256, 156, 256], { start: 100 })])(
      "%j: no key behind its query",
      (p) => {
        const d = g1(p);
        expectFormula(p, d);
        const clean = kernel(p, d);
        for (let j = (p.start ?? 0) + 1; j < p.length; j += 19) {
          const poisoned = { ...d, k: d.k.slice().fill(Number.NaN, j * 256), v: d.v.slice().fill(Number.NaN, j * 256) };
          const rows = (j - (p.start ?? 0)) * 256; // of queries before position j
          expect(kernel(p, poisoned).values().slice(0, rows)).toEqual(clean.values().slice(0, rows));
        }
      },
    );
    test("64 tokens at once and as 32 and 32 give the same bits", () => {
      const p = problem([16, 2, 256, 64, 64], { capacity: 128 });
      const d = g1(p);
      const half = 32 * 16 * 256;
      const part = (i: number): Tensor =>
        kernel({ ...p, queries: 32, length: 32 * (i + 1) }, { ...d, q: d.q.subarray(i * half, (i + 1) * half) });
      expect([...part(0).bytes, ...part(1).bytes]).toEqual([...kernel(p, d).bytes]);
    });
  });

  describe("rings, lengths and sequences of their own", () => {
    test.each([
      problem([4, 2, 64, 1, 40], { capacity: 40, ringStart: 17, window: 9 }),
      problem([4, 2, 64, 3, 20], { capacity: 40, ringStart: 33 }),
      problem([4, 2, 64, 1, 600], { capacity: 600, ringStart: 400, window: 300 }),
    ])("%j", (p) => expectFormula(p, g1(p)));

    test("a ring reads as the same keys in order", () => {
      const p = problem([4, 2, 64, 2, 30], { capacity: 30 });
      const d = g1(p);
      const rolled = (x: Float32Array): Float32Array =>
        x.map((_, i) => {
          const [head, slot, e] = [Math.floor(i / 64 / 30), Math.floor(i / 64) % 30, i % 64];
          return x[(head * 30 + ((slot + 30 - 11) % 30)) * 64 + e] ?? 0;
        });
      expect(kernel({ ...p, ringStart: 11 }, { q: d.q, k: rolled(d.k), v: rolled(d.v) }).bytes).toEqual(kernel(p, d).bytes);
    });
    test("each row reads its sequence, of its length", () => {
      const rng = new Rng(3);
      const q = randomTensor(rng, "f32", [3, 1, 4 * 32]);
      const [k, v] = [randomTensor(rng, "f16", [5, 2, 20, 32]), randomTensor(rng, "f16", [5, 2, 20, 32])];
      const attrs = { numHeads: 4, numKvHeads: 2, headDim: 32, causal: true };
      const all = runKernel(two(), { q, k, v, kvLen: integers(20, 7, 1), slots: integers(4, 0, 4) }, attrs);
      const rows = [
        [4, 20],
        [0, 7],
        [4, 1],
      ] as const;
      for (const [b, [sequence, length]] of rows.entries()) {
        const alone = { q: Tensor.fromBytes("f32", [1, 1, 128], q.bytes.slice(b * 512, (b + 1) * 512)), k, v };
        const y = runKernel(one(), { ...alone, kvLen: integer(length), slots: integers(sequence) }, attrs);
        expect(y.bytes).toEqual(all.bytes.slice(b * 512, (b + 1) * 512));
      }
    });
    test.each([
      ["kvLen of sequence 0: expected 0 to 8, got 9", { kvLen: integer(9) }],
      ["ringStart of sequence 0: expected 0 to 7, got 8", { ringStart: integer(8) }],
      ["slots of sequence 0: expected 0 to 1, got 2", { slots: integers(2) }],
      ["slots of sequence 0: expected 0 to 1, got -1", { slots: integers(-1) }],
    ])("%s", (message, wrong) => {
      const x = Tensor.zeros("f32", [2, 1, 8, 4]);
      const call = () =>
        runKernel(
          one(),
          { q: Tensor.zeros("f32", [1, 1, 4]), k: x, v: x, slots: integers(0), ...wrong },
          { numHeads: 1, numKvHeads: 1, headDim: 4 },
        );
      expect(call).toThrow(message);
    });
  });
}
