import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { bytesOf, execute, f32, floats, kernelFile, orders, randomFloats, u32 } from "./machine.ts";
import { describeWithToolchain } from "./toolchain.ts";

/** Every kernel: three orders of threads, the fast and the checked build, one and two workers. */
const ways = orders.flatMap((order) => [false, true].map((check) => ({ order, check, workers: order === "forward" ? 1 : 2 })));

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);

describeWithToolchain("kernels on software Metal", () => {
  test.each(ways)("tokens are appended to a ring of half vectors: %o", async (way) => {
    const [dim, heads, capacity, position, tokens] = [20, 3, 10, 7, 6];
    const source = randomFloats(tokens * heads * dim, 1);
    const { buffers, faults } = await execute({
      ...way,
      source: kernelFile("kv_append"),
      buffers: { source: bytesOf(source), cache: heads * capacity * dim * 2 },
      dispatches: [
        {
          kernel: "kv_append",
          threads: [dim, heads, tokens],
          size: [16, 2, 2],
          buffers: { 0: "source", 1: "cache", 2: u32(dim, heads, capacity, position, tokens) },
        },
      ],
    });
    const expected = new Uint16Array(heads * capacity * dim);
    for (let t = 0; t < tokens; t++)
      for (let h = 0; h < heads; h++)
        for (let d = 0; d < dim; d++)
          expected[(h * capacity + ((position + t) % capacity)) * dim + d] = numberToF16(source[(t * heads + h) * dim + d] ?? Number.NaN);
    expect(faults).toEqual([]);
    expect(buffers.cache).toEqual(bytesOf(expected));
  });

  test.each(
    ways.flatMap((way) => [
      { ...way, dim: 256, threads: 64 },
      { ...way, dim: 128, threads: 128 },
      { ...way, dim: 512, threads: 32 },
    ]),
  )("Walsh-Hadamard transforms and norms: %o", async ({ dim, threads, ...way }) => {
    const vectors = 3;
    const x = randomFloats(vectors * dim, 2);
    const { buffers, faults } = await execute({
      ...way,
      source: kernelFile("fwht"),
      buffers: { x: bytesOf(x), y: x.byteLength, norms: vectors * 4 },
      dispatches: [
        {
          kernel: "fwht",
          constants: [
            { index: 0, type: "uint", value: u32(dim) },
            { index: 1, type: "bool", value: Uint8Array.of(1) },
          ],
          threadgroups: [vectors, 1, 1],
          size: [threads, 1, 1],
          buffers: { 0: "x", 1: "y", 2: "norms" },
          threadgroupBytes: { 0: threads * 4 },
        },
      ],
    });
    const expected: number[] = [];
    const norms: number[] = [];
    for (let v = 0; v < vectors; v++) {
      // The definition: row k of the matrix has the sign of the parity of k & i.
      const sign = (k: number, i: number): number => 1 - 2 * ([...(k & i).toString(2)].filter((bit) => bit === "1").length % 2);
      const row = Array.from({ length: dim }, (_, k) => {
        let sum = 0;
        for (let i = 0; i < dim; i++) sum += sign(k, i) * (x[v * dim + i] ?? Number.NaN);
        return sum / Math.sqrt(dim);
      });
      expected.push(...row);
      norms.push(Math.hypot(...row));
    }
    expect(faults).toEqual([]);
    expect(largestDifference(floats(buffers.y), expected)).toBeLessThan(1e-5);
    expect(largestDifference(floats(buffers.norms), norms)).toBeLessThan(1e-5 * Math.sqrt(dim));
  });

  const formats = [
    { kernel: "attention_decode_f16_d64", dim: 64, encode: (x: Float32Array) => Uint16Array.from(x, numberToF16), decode: f16ToNumber },
    { kernel: "attention_decode_bf16_d64", dim: 64, encode: (x: Float32Array) => Uint16Array.from(x, numberToBf16), decode: bf16ToNumber },
    { kernel: "attention_decode_f32_d128", dim: 128, encode: (x: Float32Array) => x, decode: (x: number) => x },
  ];
  test.each(ways.flatMap((way) => formats.map((format) => ({ ...way, ...format }))))(
    "decode attention over a ring: $kernel $order $check",
    async (given) => {
      const { kernel, dim, encode, decode, ...way } = given;
      const [heads, kvHeads, capacity, length, start] = [4, 2, 37, 33, 11];
      const scale = Math.fround(1 / Math.sqrt(dim));
      const q = randomFloats(heads * dim, 3);
      const keys = encode(randomFloats(kvHeads * capacity * dim, 4));
      const values = encode(randomFloats(kvHeads * capacity * dim, 5));
      const { buffers, faults } = await execute({
        ...way,
        source: kernelFile("attention_decode"),
        buffers: { q: bytesOf(q), keys: bytesOf(keys), values: bytesOf(values), out: q.byteLength },
        dispatches: [
          {
            kernel,
            threadgroups: [heads, 1, 1],
            size: [128, 1, 1],
            buffers: {
              0: "q",
              1: "keys",
              2: "values",
              3: "out",
              4: Buffer.concat([u32(heads, kvHeads, length, capacity, start), f32(scale)]),
            },
          },
        ],
      });
      const expected: number[] = [];
      for (let h = 0; h < heads; h++) {
        const row = (t: number): number => (Math.floor((h * kvHeads) / heads) * capacity + ((start + t) % capacity)) * dim;
        const scores = Array.from({ length }, (_, t) => {
          let sum = 0;
          for (let d = 0; d < dim; d++) sum += (q[h * dim + d] ?? Number.NaN) * decode(keys[row(t) + d] ?? Number.NaN);
          return sum * scale;
        });
        const top = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((a, b) => a + b);
        for (let d = 0; d < dim; d++)
          expected.push(weights.reduce((sum, w, t) => sum + w * decode(values[row(t) + d] ?? Number.NaN), 0) / total);
      }
      expect(faults).toEqual([]);
      expect(largestDifference(floats(buffers.out), expected)).toBeLessThan(1e-5);
    },
  );

  test.each(ways)("a matrix product of half and bfloat with edges: %o", async (way) => {
    const [M, N, K] = [37, 29, 45];
    const a = Uint16Array.from(randomFloats(M * K, 6), numberToF16);
    const b = Uint16Array.from(randomFloats(K * N, 7), numberToBf16);
    const { buffers, faults } = await execute({
      ...way,
      source: kernelFile("matmul"),
      buffers: { a: bytesOf(a), b: bytesOf(b), c: M * N * 4 },
      dispatches: [
        {
          kernel: "matmul_f16_bf16",
          threadgroups: [Math.ceil(N / 16), Math.ceil(M / 16), 1],
          size: [32, 1, 1],
          buffers: { 0: "a", 1: "b", 2: "c", 3: u32(M, N, K) },
        },
      ],
    });
    const expected: number[] = [];
    for (let i = 0; i < M; i++)
      for (let j = 0; j < N; j++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += f16ToNumber(a[i * K + k] ?? 0) * f16ToNumber(numberToF16(bf16ToNumber(b[k * N + j] ?? 0)));
        expected.push(sum);
      }
    expect(faults).toEqual([]);
    expect(largestDifference(floats(buffers.c), expected)).toBeLessThan(1e-4);
  });

  test.each(ways)("atomics count, add and compare: %o", async (way) => {
    const count = 1000;
    const values = Uint32Array.from({ length: count }, (_, i) => (i * 7919) % 10007);
    const { buffers, faults } = await execute({
      ...way,
      source: kernelFile("atomics"),
      buffers: { values: bytesOf(values), bins: 32, sum: 4, largest: 4 },
      dispatches: [
        {
          kernel: "histogram",
          threadgroups: [Math.ceil(count / 64), 1, 1],
          size: [64, 1, 1],
          buffers: { 0: "values", 1: "bins", 2: "sum", 3: "largest", 4: u32(count) },
        },
      ],
    });
    const bins = new Uint32Array(8);
    for (const value of values) bins[value % 8] = (bins[value % 8] ?? 0) + 1;
    expect(faults).toEqual([]);
    expect(buffers.bins).toEqual(bytesOf(bins));
    expect(buffers.sum).toEqual(f32(count / 2));
    expect(buffers.largest).toEqual(u32(Math.max(...values)));
  });
});
