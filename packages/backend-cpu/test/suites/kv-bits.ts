import { type KvCodec, ops, Rng, runReference, standardizeKvVector, Tensor } from "@rlxjs/ir";
import { afterAll, expect, test } from "vitest";
import {
  allCodecs,
  codecText,
  floats,
  ints,
  quantize,
  type RunInto,
  Store,
  sameBytes,
  titled,
} from "../../../ir/test/support/quantized.ts";

const special = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, -3e38, 1e-40, -(2 ** -149), 1e-10, 1e30, 65504];

/** A vector of one of several kinds: normal at any scale, mostly zeros, with values that are special, or all tiny. */
function awkward(rng: Rng, headDim: number): Float32Array {
  const x = Float32Array.from(rng.normals(headDim));
  const kind = rng.int(0, 5);
  if (kind === 1) return x.map((v) => v * 2 ** rng.int(-140, 120));
  if (kind === 2) return x.map((v) => (rng.int(0, 9) === 0 ? v : 0));
  if (kind === 3) return x.map((v) => (rng.int(0, headDim) === 0 ? (special[rng.int(0, special.length - 1)] ?? 0) : v));
  if (kind === 4) return x.map((v) => v * 1e-10);
  return kind === 5 ? x.fill(special[rng.int(0, special.length - 1)] ?? 0) : x;
}

/**
 * Vectors with a standardized value that is a boundary, or minus one, to the last bit: impulses p and q give the values (p + q) / sqrt(p^2 + q^2) and
 * (p - q) / sqrt(p^2 + q^2), and neighbours of p are tried until one of them hits.
 */
function onBoundaries(codec: KvCodec): Float32Array[] {
  const inner = codec.boundaries.filter((b) => Math.abs(b) < 1.3);
  return Array.from(inner.filter((_, i) => i % Math.ceil(inner.length / 12) === 0)).flatMap((boundary) => {
    const angle = Math.PI / 4 - Math.acos(boundary / Math.SQRT2);
    const x = new Float32Array(codec.headDim);
    x[1] = Math.sin(angle);
    for (let k = -40; k <= 40; k++) {
      x[0] = Math.cos(angle) * (1 + k * 2 ** -23);
      if (standardizeKvVector(codec, x).values.some((v) => Math.abs(v) === Math.abs(boundary))) return [x];
    }
    return [];
  });
}

/** Equal bits, -0 apart from 0; any NaN is like another. */
function sameBits(a: Tensor, b: Tensor): boolean {
  const [x, y] = [floats(a), floats(b)];
  return x.every((v, i) => Object.is(v, y[i]));
}

/** Codes of a vector, as numbers. */
function codesOf({ headDim, codeWidth }: KvCodec, packed: Uint8Array): number[] {
  return Array.from({ length: headDim }, (_, j) => {
    const bit = j * codeWidth;
    const two = (packed[bit >> 3] ?? 0) | ((packed[(bit >> 3) + 1] ?? 0) << 8);
    return (two >> (bit & 7)) & (2 ** codeWidth - 1);
  });
}

/** f32 numbers from one to another. */
function ulpsBetween(a: number, b: number): number {
  const bits = new Int32Array(Float32Array.of(a, b).buffer);
  const [x = 0, y = 0] = Array.from(bits, (v) => (v < 0 ? -(v & 0x7fffffff) : v));
  return Math.abs(x - y);
}

/** Codes that are not those of `expected`: within 4 ulp of the boundary between the two, or elsewhere. */
function differences(codec: KvCodec, x: Float32Array, actual: Uint8Array, expected: Uint8Array): { near: number; far: number } {
  if (Buffer.compare(actual, expected) === 0) return { near: 0, far: 0 };
  const { values } = standardizeKvVector(codec, x);
  const [a, b] = [codesOf(codec, actual), codesOf(codec, expected)];
  const apart = a.flatMap((code, j) =>
    code === b[j] ? [] : [{ low: Math.min(code, b[j] ?? 0), step: Math.abs(code - (b[j] ?? 0)), value: values[j] ?? 0 }],
  );
  const near = apart.filter(({ low, step, value }) => step === 1 && ulpsBetween(value, codec.boundaries[low] ?? 0) <= 4).length;
  return { near, far: apart.length - near };
}

/**
 * Quantized caches and rotations have the bits of the references: 100 random tensors per codec and headDim, and values on boundaries. Devices by name.
 * `counted`: a value within 4 ulp of a boundary may be in the next cell, as on a device whose arithmetic is not quite that of IEEE 754; how many are is printed.
 */
export function kvBitsSuite(devices: Readonly<Record<string, RunInto>>, { counted = false }: { readonly counted?: boolean } = {}): void {
  const [heads, tokens] = [2, 2];
  const near = new Map(Object.keys(devices).map((name) => [name, 0]));
  let codes = 0;
  afterAll(() => {
    if (!counted) return;
    for (const [name, count] of near) console.info(`${name}: ${count} of ${codes} codes are in the other cell of a boundary within 4 ulp`);
  });

  test.each(titled(allCodecs))("%s: 100 random tensors, values on boundaries", (_, codec) => {
    const { headDim } = codec;
    const rng = new Rng(headDim + codec.bits);
    const boundaries = onBoundaries(codec);
    expect(boundaries.length).toBeGreaterThan(1);
    const batch = 100 + Math.ceil(boundaries.length / (heads * tokens));
    const x = Tensor.zeros("f32", [batch, tokens, heads * headDim]);
    const vectors = Array.from({ length: batch * tokens * heads }, (_unused, i) => boundaries[i - 400] ?? awkward(rng, headDim));
    for (const [i, v] of vectors.entries()) floats(x).set(v, i * headDim);
    codes += vectors.length * headDim;
    const extents = { batch, heads, capacity: 3 };
    const expected = new Store(codec, extents);
    for (const [i, v] of vectors.entries()) expected.encode(Math.floor(i / 4), 1 + (Math.floor(i / heads) % tokens), i % heads, v);
    const attrs = { codec: codecText(codec), headDim, layout: "head", tokens: 3, ring: false };
    const decoded = (domain: string, run: RunInto): Tensor => {
      const out = Tensor.zeros("f32", [batch, 3, heads * headDim]);
      run(ops.kvDequantize, [expected.packed, expected.norms, ints(...new Array<number>(batch).fill(0))], { ...attrs, domain }, [out]);
      return out;
    };
    const reference: RunInto = (def, slots, all, outs) => runReference(def, slots, all, outs ?? []);
    const rows = ["rotated", "plain"].map((domain) => ({ domain, values: decoded(domain, reference) }));
    for (const [name, run] of Object.entries(devices)) {
      const store = new Store(codec, extents);
      quantize(run, store, x, { pos: ints(...new Array<number>(batch).fill(1)) });
      if (!counted) expect(sameBytes(store, expected), name).toBe(true);
      const apart = vectors.map((v, i) => {
        const [sequence, slot, head] = [Math.floor(i / 4), 1 + (Math.floor(i / heads) % tokens), i % heads];
        return differences(codec, v, store.vector(sequence, slot, head).packed, expected.vector(sequence, slot, head).packed);
      });
      near.set(name, (near.get(name) ?? 0) + apart.reduce((sum, d) => sum + d.near, 0));
      expect(apart.filter(({ far }) => far > 0)).toEqual([]);
      expect(sameBits(store.norms, expected.norms), name).toBe(true);
      expect(store.intact(), name).toBe(true);
      for (const { domain, values } of rows) expect(sameBits(decoded(domain, run), values), `${name} ${domain}`).toBe(true);
    }
  });

  test("rotations of awkward vectors", () => {
    for (const n of [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 1024, 8192])
      for (const signs of n > 512 ? ["none"] : ["none", "before", "after"]) {
        const rng = new Rng(n);
        const x = Tensor.zeros("f32", [12, n]);
        for (let r = 0; r < 12; r++) floats(x).set(awkward(rng, n), r * n);
        const expected = Tensor.zeros("f32", [12, n]);
        runReference(ops.fwht, [x], { signs }, [expected]);
        for (const [name, run] of Object.entries(devices)) {
          const out = Tensor.zeros("f32", [12, n]);
          run(ops.fwht, [x], { signs }, [out]);
          expect(sameBits(out, expected), `${name} ${n} ${signs}`).toBe(true);
        }
      }
  });
}
