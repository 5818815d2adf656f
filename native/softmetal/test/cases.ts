// Kernels that have to work, against references in double precision. Used by the tests and by the mutation test.
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "@rlxjs/ir";
import type { Architecture } from "../tool/flags.mjs";
import { bytesOf, execute, f32, floats, type Job, type Order, type Result, randomFloats, u32 } from "./machine.ts";

export interface Way {
  architecture?: Architecture;
  order: Order;
  check: boolean;
  workers: number;
}

export interface Case {
  name: string;
  /** The file in kernels/ without its ending. */
  file: string;
  /** What is wrong with the kernel in `source`; empty: nothing. */
  problems(source: string, way: Way): Promise<string[]>;
}

/** A job's faults, and where an output is further than `bound` from what it should be (bound 0: bits). */
async function compare(
  job: Job,
  expected: Record<string, { values: ArrayLike<number>; read: (bytes: Uint8Array) => ArrayLike<number>; bound: number }>,
) {
  const { buffers, faults }: Result = await execute(job);
  const problems = faults.map(({ kind, place, message }) => `${kind} ${place}: ${message}`);
  for (const [name, { values, read, bound }] of Object.entries(expected)) {
    const given = read(buffers[name] ?? new Uint8Array());
    const wrong = Array.from(values).findIndex((value, i) => !(Math.abs(value - (given[i] ?? Number.NaN)) <= bound));
    if (given.length !== values.length) problems.push(`${name} has ${given.length} values, expected ${values.length}`);
    else if (wrong >= 0) problems.push(`${name}[${wrong}] is ${given[wrong]}, expected ${values[wrong]} within ${bound}`);
  }
  return problems;
}

const shorts = (bytes: Uint8Array): Uint16Array => new Uint16Array(Uint8Array.from(bytes).buffer);
const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(Uint8Array.from(bytes).buffer);
const at = (values: ArrayLike<number>, i: number): number => values[i] ?? Number.NaN;

const append: Case = {
  name: "tokens are appended to a ring of half vectors",
  file: "kv_append",
  problems(source, way) {
    const [dim, heads, capacity, position, tokens] = [20, 3, 10, 7, 6];
    const values = randomFloats(tokens * heads * dim, 1);
    const expected = new Uint16Array(heads * capacity * dim);
    for (let t = 0; t < tokens; t++)
      for (let h = 0; h < heads; h++)
        for (let d = 0; d < dim; d++) {
          expected[(h * capacity + ((position + t) % capacity)) * dim + d] = numberToF16(at(values, (t * heads + h) * dim + d));
        }
    const buffers = { 0: "source", 1: "cache", 2: u32(dim, heads, capacity, position, tokens) };
    const dispatches = [{ kernel: "kv_append", threadgroups: [2, 2, 4], size: [16, 2, 2], buffers }] as const;
    const job = { ...way, source, buffers: { source: bytesOf(values), cache: expected.byteLength }, dispatches };
    return compare(job, { cache: { values: expected, read: shorts, bound: 0 } });
  },
};

/** The definition: element k of the transform has the signs of the parities of k & i. */
function hadamard(x: ArrayLike<number>, start: number, dim: number): number[] {
  const sign = (bits: number): number => 1 - 2 * ([...bits.toString(2)].filter((bit) => bit === "1").length % 2);
  return Array.from({ length: dim }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < dim; i++) sum += sign(k & i) * at(x, start + i);
    return sum / Math.sqrt(dim);
  });
}

const transform = (dim: number, threads: number): Case => ({
  name: `Walsh-Hadamard transforms and norms, ${dim} elements, ${threads} threads`,
  file: "fwht",
  problems(source, way) {
    const vectors = 3;
    const x = randomFloats(vectors * dim, 2);
    const rows = Array.from({ length: vectors }, (_, v) => hadamard(x, v * dim, dim));
    const constants = [
      { index: 0, type: "uint", value: u32(dim) },
      { index: 1, type: "bool", value: Uint8Array.of(1) },
    ];
    const bound = { 0: "x", 1: "y", 2: "norms" };
    const grid = { threadgroups: [vectors, 1, 1], size: [threads, 1, 1] } as const;
    const dispatches = [{ kernel: "fwht", constants, ...grid, buffers: bound, threadgroupBytes: { 0: threads * 4 } }];
    const job = { ...way, source, buffers: { x: bytesOf(x), y: x.byteLength, norms: vectors * 4 }, dispatches };
    return compare(job, {
      y: { values: rows.flat(), read: floats, bound: 1e-5 },
      norms: { values: rows.map((row) => Math.hypot(...row)), read: floats, bound: 1e-4 },
    });
  },
});

const formats = {
  f16: { encode: (x: Float32Array) => Uint16Array.from(x, numberToF16), decode: f16ToNumber },
  bf16: { encode: (x: Float32Array) => Uint16Array.from(x, numberToBf16), decode: bf16ToNumber },
  f32: { encode: (x: Float32Array) => x, decode: (x: number) => x },
};

const attention = (format: keyof typeof formats, dim: number): Case => ({
  name: `decode attention over a ring, ${format}`,
  file: "attention_decode",
  problems(source, way) {
    const { encode, decode } = formats[format];
    const [heads, kvHeads, capacity, length, start] = [4, 2, 37, 33, 11];
    const scale = Math.fround(1 / Math.sqrt(dim));
    const q = randomFloats(heads * dim, 3);
    const keys = encode(randomFloats(kvHeads * capacity * dim, 4));
    const values = encode(randomFloats(kvHeads * capacity * dim, 5));
    const expected: number[] = [];
    for (let h = 0; h < heads; h++) {
      const row = (t: number): number => (Math.floor((h * kvHeads) / heads) * capacity + ((start + t) % capacity)) * dim;
      const scores = Array.from({ length }, (_, t) => {
        let sum = 0;
        for (let d = 0; d < dim; d++) sum += at(q, h * dim + d) * decode(at(keys, row(t) + d));
        return sum * scale;
      });
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((a, b) => a + b);
      for (let d = 0; d < dim; d++)
        expected.push(weights.reduce((sum, weight, t) => sum + weight * decode(at(values, row(t) + d)), 0) / total);
    }
    const params = Buffer.concat([u32(heads, kvHeads, length, capacity, start), f32(scale)]);
    const bound = { 0: "q", 1: "keys", 2: "values", 3: "out", 4: params };
    const grid = { threadgroups: [heads, 1, 1], size: [128, 1, 1] } as const;
    const dispatches = [{ kernel: `attention_decode_${format}_d${dim}`, ...grid, buffers: bound }];
    const buffers = { q: bytesOf(q), keys: bytesOf(keys), values: bytesOf(values), out: q.byteLength };
    return compare({ ...way, source, buffers, dispatches }, { out: { values: expected, read: floats, bound: 1e-5 } });
  },
});

const product: Case = {
  name: "a matrix product of half and bfloat with edges",
  file: "matmul",
  problems(source, way) {
    const [M, N, K] = [37, 29, 45];
    const a = Uint16Array.from(randomFloats(M * K, 6), numberToF16);
    const b = Uint16Array.from(randomFloats(K * N, 7), numberToBf16);
    const expected: number[] = [];
    for (let i = 0; i < M; i++)
      for (let j = 0; j < N; j++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += f16ToNumber(at(a, i * K + k)) * f16ToNumber(numberToF16(bf16ToNumber(at(b, k * N + j))));
        expected.push(sum);
      }
    const grid = { threadgroups: [Math.ceil(N / 16), Math.ceil(M / 16), 1], size: [32, 1, 1] } as const;
    const dispatches = [{ kernel: "matmul_f16_bf16", ...grid, buffers: { 0: "a", 1: "b", 2: "c", 3: u32(M, N, K) } }];
    const job = { ...way, source, buffers: { a: bytesOf(a), b: bytesOf(b), c: M * N * 4 }, dispatches };
    return compare(job, { c: { values: expected, read: floats, bound: 1e-4 } });
  },
};

const histogram: Case = {
  name: "atomics count, add and compare",
  file: "atomics",
  problems(source, way) {
    const count = 1000;
    const values = Uint32Array.from({ length: count }, (_, i) => (i * 7919) % 10007);
    const bins = new Uint32Array(8);
    for (const value of values) bins[value % 8] = at(bins, value % 8) + 1;
    const bound = { 0: "values", 1: "bins", 2: "sum", 3: "largest", 4: u32(count) };
    const dispatches = [{ kernel: "histogram", threadgroups: [Math.ceil(count / 64), 1, 1], size: [64, 1, 1], buffers: bound }] as const;
    const job = { ...way, source, buffers: { values: bytesOf(values), bins: 32, sum: 4, largest: 4 }, dispatches };
    return compare(job, {
      bins: { values: bins, read: words, bound: 0 },
      sum: { values: [count / 2], read: floats, bound: 0 },
      largest: { values: [Math.max(...values)], read: words, bound: 0 },
    });
  },
};

export const cases: readonly Case[] = [
  append,
  ...[transform(256, 64), transform(128, 128), transform(512, 32)],
  ...[attention("f16", 64), attention("bf16", 64), attention("f32", 128)],
  product,
  histogram,
];
