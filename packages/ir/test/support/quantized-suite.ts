import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { checkAttrs, decodeKvVector, fwhtThenSign, type KvCodec, kvBits, kvCodec, ops, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussians } from "../xoshiro.ts";
import { allCodecs, codecText, floats, ints, lcgGaussians, quantize, quantizePair, type RunInto, Store, sameBytes } from "./quantized.ts";

const hash = (data: Uint8Array | Float32Array): string => bytesToHex(sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
const small = kvCodec("lloyd-max-v2", 5, 48);
const int = (value: number): Tensor => Tensor.from("i64", [], [value]);

/** Inputs and results by an independent implementation in numpy. */
const goldens = [
  {
    seed: 1234,
    ...{ headDim: 256, heads: 2, capacity: 32, pos: 7, ring: false, slot: 7 },
    input: "7ce06c05dfbdf9da6bee38ce85452edbd16f8a4f34e5da52e33b5a2bd1bbdcc7",
    packed: {
      4: "206bb3ba9240197dda213ef6e95bc8392341c688a410764bf9df820d2b939a86",
      5: "ae3bbc1d4293f1966e7e82f999dec6a4bb43d6fa2f27f12d7144f64c1b776542",
      6: "525b73f2fd87027a97e08de56c24e034ec4234108e89382f99102525f2ce42f4",
      8: "3eaefabfa9a5331fe728fd93294fda41587619063e14ba3235dcef57bda078e1",
    },
    norms: [15.386644, 13.596864],
  },
  {
    seed: 5678,
    ...{ headDim: 512, heads: 8, capacity: 64, pos: 13, ring: true, slot: 13 },
    input: "1c272b134a6a53a7b2b5b62650582b34d7854d2ed7849cb484d29870ecc77835",
    packed: {
      4: "0bb79d1b7873de953c685726de95863e67b03d9a6c224b0c1d28a02603fa437e",
      5: "b087b9b7320a18b3ad123454682f403e1cbc46f5ae198a2dac262f127f5fd46e",
      6: "cfe40e67dbedb471191fed728aa960c0385a1015e00754cea569785b7add92b9",
      8: "7d2b9e896a302464aa954eaa8cc8a672e6ddb0ce1174521d6f4dcae8212b3925",
    },
    norms: [
      0.987983, 0.95284, 1.048517, 0.978456, 1.031697, 0.978968, 0.987414, 1.041659, 1.017795, 1.009072, 1.028058, 0.973616, 0.909938,
      1.007223, 0.95572, 0.997863,
    ],
  },
] as const;

/** What the ops of quantized caches do, wherever they run. */
export function quantizedSuite(run: RunInto): void {
  describe.each(goldens)("seed $seed", ({ seed, headDim, heads, capacity, pos, ring, slot, input, packed, norms }) => {
    const x = gaussians(seed, heads * headDim);
    test("input", () => expect(hash(x)).toBe(input));

    test.each(kvBits)("%i bits: the golden bytes in slot pos of every head, all others stay 0", (bits) => {
      const store = new Store(kvCodec("mlx-native-v1", bits, headDim), { heads, capacity });
      quantize(run, store, Tensor.from("f32", [1, 1, heads * headDim], x), { pos: int(pos) }, { ring });
      const vectors = Array.from({ length: heads }, (_, h) => store.vector(0, slot, h));
      expect(hash(Uint8Array.from(vectors.flatMap((v) => [...v.packed])))).toBe(packed[bits]);
      for (const [i, norm] of vectors.flatMap((v) => [...v.norms]).entries())
        expect(Math.abs(norm / (norms[i] ?? 0) - 1)).toBeLessThan(1e-6);
      for (const v of vectors) {
        v.packed.fill(0);
        v.norms.fill(0);
      }
      expect(sameBytes(store, new Store(store.codec, { heads, capacity })) && store.intact()).toBe(true);
    });
  });

  test.each(["head", "token"] as const)("position 10 of a ring of 8 is slot 2, %s-major, every codec", (layout) => {
    for (const codec of allCodecs) {
      const { headDim } = codec;
      const extents = { layout, heads: 2, capacity: 8 };
      const [store, expected] = [new Store(codec, extents), new Store(codec, extents)];
      const x = gaussians(9999, 2 * headDim);
      quantize(run, store, Tensor.from("f32", [1, 1, 2 * headDim], x), { pos: int(10) }, { ring: true });
      for (let h = 0; h < 2; h++) expected.encode(0, 2, h, x.subarray(h * headDim, (h + 1) * headDim));
      expect(sameBytes(store, expected) && store.intact(), codecText(codec)).toBe(true);
    }
  });

  const seeds = [0xc25eed, 0xcafe, 0xbabe, 0xdeadbeef, 0x12345678];
  test.each(([5, 6, 8] as const).flatMap((bits) => seeds.map((seed) => [bits, seed] as const)))(
    "%i bits, seed %i of another generator",
    (bits, seed) => {
      for (const codec of [kvCodec("mlx-native-v1", bits, 256), kvCodec("mlx-native-v1", bits, 512), kvCodec("lloyd-max-v2", bits, 256)]) {
        const [store, expected] = [0, 1].map(() => new Store(codec, { heads: 4, capacity: 2 })) as [Store, Store];
        const x = lcgGaussians(seed, 4 * codec.headDim);
        quantize(run, store, Tensor.from("f32", [1, 1, x.length], x), { pos: int(1) });
        for (let h = 0; h < 4; h++) expected.encode(0, 1, h, x.subarray(h * codec.headDim, (h + 1) * codec.headDim));
        expect(sameBytes(store, expected)).toBe(true);
      }
    },
  );

  test("a range is its tokens one by one, across the end of a ring; K and V together are each alone", () => {
    const [k, v] = [kvCodec("lloyd-max-v2", 8, 64), kvCodec("mlx-native-v1", 4, 256)];
    const extents = { heads: 2, capacity: 4 };
    const stores = (): [Store, Store] => [new Store(k, extents), new Store(v, extents)];
    const [both, alone, single] = [stores(), stores(), stores()];
    const sources = [k, v].map((c, i) => Tensor.from("f32", [1, 3, 2 * c.headDim], gaussians(i, 6 * c.headDim))) as [Tensor, Tensor];
    const ring = { ring: true };
    quantizePair(run, both, sources, { pos: int(6) }, ring);
    for (const [i, store] of alone.entries()) quantize(run, store, sources[i] as Tensor, { pos: int(6) }, ring);
    for (let t = 0; t < 3; t++)
      for (const [i, store] of single.entries())
        quantize(run, store, sources[i] as Tensor, { pos: int(6 + t), tokens: int(1), srcTokOffset: int(t) }, ring);
    for (const [i, store] of both.entries()) {
      expect(sameBytes(store, alone[i] as Store) && sameBytes(store, single[i] as Store)).toBe(true);
      expect(store.intact()).toBe(true);
    }
  });

  test("any sequence of writes and truncations leaves what plain lists of vectors say; what fails changes nothing", () => {
    fc.assert(
      fc.property(shapes, commands, (shape, list) => checkModel(run, shape, list)),
      { numRuns: 60 },
    );
  });

  describe("decoding", () => {
    const decode = (store: Store, pos: Tensor, attrs: { tokens?: number; domain?: "rotated" | "plain"; ring?: boolean }): Float32Array => {
      const { codec, extents } = store;
      const { batch, heads, layout } = extents;
      const out = Tensor.zeros("f32", [batch, attrs.tokens ?? 1, heads * codec.headDim]);
      const all = checkAttrs(ops.kvDequantize, { codec: codecText(codec), headDim: codec.headDim, layout, ...attrs });
      run(ops.kvDequantize, [store.packed, store.norms, pos], all, [out]);
      return floats(out);
    };

    test("one position, a range, a ring; rotated as stored, or plain", () => {
      for (const layout of ["head", "token"] as const) {
        const store = new Store(small, { layout, batch: 2, heads: 3, capacity: 4 });
        const rng = new Rng(3);
        quantize(run, store, randomTensor(rng, "f32", [2, 4, 3 * 48]), { pos: int(0) });
        const expected = (slots: readonly number[]): Float32Array => {
          const rows = [0, 1].flatMap((b) => slots.flatMap((slot) => [0, 1, 2].map((head) => store.vector(b, slot, head))));
          const out = new Float32Array(rows.length * 48);
          for (const [i, { packed, norms }] of rows.entries()) decodeKvVector(small, packed, norms, out.subarray(i * 48, (i + 1) * 48));
          return out;
        };
        const plain = (x: Float32Array): Float32Array => {
          fwhtThenSign(x, 48);
          return x;
        };
        expect(decode(store, int(2), {})).toEqual(expected([2]));
        expect(decode(store, int(1), { tokens: 3 })).toEqual(expected([1, 2, 3]));
        expect(decode(store, int(7), { tokens: 3, ring: true })).toEqual(expected([3, 0, 1]));
        expect(decode(store, int(0), { tokens: 4, domain: "plain" })).toEqual(plain(expected([0, 1, 2, 3])));
        expect(decode(store, int(9), { tokens: 0 })).toEqual(new Float32Array(0));
      }
    });

    test("positions that are not there", () => {
      const store = new Store(small, { capacity: 4 });
      for (const [pos, attrs] of [
        [3, { tokens: 2 }],
        [4, {}],
        [-1, {}],
        [0, { tokens: 5, ring: true }],
        [-1, { ring: true }],
      ] as const)
        expect(() => decode(store, int(pos), attrs)).toThrow(/: expected .*, got /);
    });
  });

  test("inner products of rotated vectors are those of plain ones; the way back leads back", () => {
    for (const n of [32, 48, 80, 96, 128, 256, 512]) {
      const rng = new Rng(n);
      const x = randomTensor(rng, "f32", [2, n]);
      const [rotated, back] = [Tensor.zeros("f32", [2, n]), Tensor.zeros("f32", [2, n])];
      run(ops.fwht, [x], { signs: "before" }, [rotated]);
      run(ops.fwht, [rotated], { signs: "after" }, [back]);
      const inner = (t: Tensor): number => {
        let sum = 0;
        for (let j = 0; j < n; j++) sum += t.get(j) * t.get(n + j);
        return sum;
      };
      expect(Math.abs(inner(rotated) - inner(x))).toBeLessThan(1e-5 * n);
      for (let i = 0; i < x.size; i++) expect(Math.abs(back.get(i) - x.get(i))).toBeLessThan(3e-6);
    }
  });
}

interface Shape {
  readonly codecs: readonly [KvCodec, KvCodec];
  readonly layout: "token" | "head";
  readonly xLayout: "token" | "head";
  readonly batch: number;
  readonly heads: number;
  readonly capacity: number;
}
interface Command {
  readonly both: boolean;
  /** Before the write, the newest tokens of each sequence that are forgotten. */
  readonly truncate: number;
  readonly rows: readonly { readonly tokens: number; readonly offset: number }[];
  readonly slots: boolean;
  readonly ring: boolean;
  readonly trim: boolean;
  readonly seed: number;
}
const layout = fc.constantFrom("token" as const, "head" as const);
const someCodec = fc.constantFrom(...allCodecs.filter(({ headDim }) => headDim <= 96 || headDim === 256));
const shapes: fc.Arbitrary<Shape> = fc.record({
  codecs: fc.tuple(someCodec, someCodec),
  layout,
  xLayout: layout,
  batch: fc.integer({ min: 1, max: 3 }),
  heads: fc.integer({ min: 1, max: 2 }),
  capacity: fc.integer({ min: 1, max: 5 }),
});
const commands: fc.Arbitrary<readonly Command[]> = fc.array(
  fc.record({
    both: fc.boolean(),
    truncate: fc.constantFrom(0, 0, 0, 1, 2),
    rows: fc.array(fc.record({ tokens: fc.nat({ max: 3 }), offset: fc.nat({ max: 2 }) }), { minLength: 3, maxLength: 3 }),
    slots: fc.boolean(),
    ring: fc.constantFrom(true, true, false),
    trim: fc.boolean(),
    seed: fc.nat(),
  }),
  { maxLength: 6 },
);

/** Runs the commands on two caches, and beside them on plain lists of the vectors that each slot should hold. */
function checkModel(run: RunInto, shape: Shape, list: readonly Command[]): void {
  const { batch, heads, capacity, xLayout } = shape;
  const stores = shape.codecs.map((codec) => new Store(codec, shape)) as [Store, Store];
  const models = shape.codecs.map(() => new Map<string, Float32Array>());
  const lengths = new Array<number>(batch).fill(0);
  for (const { both, truncate, rows, slots, ring, seed, ...command } of list) {
    const trim = ring && command.trim;
    for (const [b, n] of lengths.entries()) lengths[b] = Math.max(0, n - truncate);
    const written = rows.slice(0, batch).map((row, i) => ({ ...row, sequence: slots ? batch - 1 - i : i }));
    const srcTokens = Math.max(...written.map(({ tokens, offset }) => tokens + offset));
    const rng = new Rng(seed);
    const sources = shape.codecs.map(({ headDim }) =>
      randomTensor(rng, "f32", [batch, ...(xLayout === "token" ? [srcTokens, heads * headDim] : [heads, srcTokens, headDim])]),
    ) as [Tensor, Tensor];
    const places = {
      pos: ints(...written.map(({ sequence }) => lengths[sequence] ?? 0)),
      tokens: ints(...written.map(({ tokens }) => tokens)),
      srcTokOffset: ints(...written.map(({ offset }) => offset)),
      ...(slots ? { slots: ints(...written.map(({ sequence }) => sequence)) } : {}),
    };
    const write = (): void =>
      both
        ? quantizePair(run, stores, sources, places, { xLayout, ring, trim })
        : quantize(run, stores[0], sources[0], places, { xLayout, ring, trim });
    const fits = written.every(
      ({ tokens, sequence }) => tokens === 0 || (ring ? trim || tokens <= capacity : (lengths[sequence] ?? 0) + tokens <= capacity),
    );
    if (!fits) {
      const before = stores.map((s) => s.copy());
      expect(write).toThrow(/: expected .*, got /);
      expect(stores.map((s) => s.copy())).toEqual(before);
      continue;
    }
    write();
    for (const [row, { tokens, offset, sequence }] of written.entries()) {
      const pos = lengths[sequence] ?? 0;
      for (const [i, model] of models.slice(0, both ? 2 : 1).entries())
        for (let t = 0; t < tokens; t++)
          for (let h = 0; h < heads; h++) {
            const { headDim } = stores[i === 0 ? 0 : 1].codec;
            const token = offset + t;
            const at = xLayout === "token" ? (row * srcTokens + token) * heads + h : (row * heads + h) * srcTokens + token;
            model.set(`${sequence} ${(pos + t) % capacity} ${h}`, floats(sources[i === 0 ? 0 : 1]).slice(at * headDim, (at + 1) * headDim));
          }
      lengths[sequence] = pos + tokens;
    }
    for (const [i, store] of stores.entries()) {
      const expected = new Store(store.codec, shape);
      for (const [key, x] of models[i] ?? []) {
        const [sequence = 0, slot = 0, head = 0] = key.split(" ").map(Number);
        expected.encode(sequence, slot, head, x);
      }
      expect(sameBytes(store, expected) && store.intact(), codecText(store.codec)).toBe(true);
    }
  }
}
