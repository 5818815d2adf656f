import { type AnyOpDef, type AttrRecord, checkAttrs, type DType, floatDTypes, ops, q8Dim, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { expect } from "vitest";

/** Runs an op on tensors by slot; what it writes is written in place. Throws what the op finds wrong. */
export type RunOp = (def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord) => void;

const CANARY = 0xc5;
const EDGE = 64;
/** A tensor in the middle of more memory, which nobody may touch. */
export function guarded(dtype: DType, shape: readonly number[]): { tensor: Tensor; intact: () => boolean } {
  const bytes = Tensor.zeros(dtype, shape).bytes.length;
  const memory = new Uint8Array(bytes + 2 * EDGE).fill(CANARY);
  const tensor = Tensor.fromBytes(dtype, shape, memory.subarray(EDGE, EDGE + bytes).fill(0));
  return { tensor, intact: () => memory.every((b, i) => b === CANARY || (i >= EDGE && i < EDGE + bytes)) };
}

interface Layouts {
  readonly layout: "token" | "head";
  readonly xLayout: "token" | "head";
}
export interface Shape extends Layouts {
  readonly dtypes: readonly [DType, DType];
  readonly batch: number;
  readonly heads: number;
  readonly dims: readonly [number, number];
  readonly capacity: number;
}
export type Command =
  | {
      readonly kind: "write";
      readonly both: boolean;
      readonly from: DType;
      readonly seed: number;
      /** Tokens of the source beyond those that are written; below 0: it has too few. */
      readonly spare: number;
      /** One per sequence that is written. */
      readonly rows: readonly { readonly tokens: number; readonly offset: number; readonly back: number }[];
      readonly ring: boolean;
      readonly trim: boolean;
      readonly explicitSlots: boolean;
    }
  | { readonly kind: "truncate"; readonly sequence: number; readonly by: number }
  | { readonly kind: "linearize"; readonly length: number; readonly back: number; readonly dstCap: number };

/** Mostly right, so that most sequences get somewhere. */
const mostly = (right: fc.Arbitrary<number>, wrong: fc.Arbitrary<number>): fc.Arbitrary<number> =>
  fc.oneof({ weight: 20, arbitrary: right }, { weight: 1, arbitrary: wrong });
const layout = fc.constantFrom("token" as const, "head" as const);
const dim = fc.constantFrom(1, 3, 32, 33);
/** Caches of these float dtypes, or of q8_0. */
export function kvShapes(dtypes: readonly DType[] = floatDTypes): fc.Arbitrary<Shape> {
  const cacheDType = fc.constantFrom<DType>(...dtypes, "q8_0");
  return fc.record({
    layout,
    xLayout: layout,
    dtypes: fc.tuple(cacheDType, cacheDType),
    batch: fc.integer({ min: 1, max: 3 }),
    heads: fc.integer({ min: 1, max: 3 }),
    dims: fc.tuple(dim, dim),
    capacity: mostly(fc.integer({ min: 2, max: 6 }), fc.constant(0)),
  });
}
const small = fc.nat({ max: 7 });
const row = fc.record({
  tokens: mostly(fc.nat({ max: 3 }), fc.integer({ min: -1, max: 7 })),
  offset: fc.nat({ max: 2 }),
  back: mostly(fc.constant(0), fc.nat({ max: 3 })),
});
const write = (dtypes: readonly DType[]) =>
  fc.record({
    kind: fc.constant("write" as const),
    both: fc.boolean(),
    from: fc.constantFrom(...dtypes),
    seed: fc.nat(),
    spare: mostly(fc.nat({ max: 2 }), fc.constant(-1)),
    rows: fc.array(row, { minLength: 1, maxLength: 3 }),
    ring: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    trim: fc.boolean(),
    explicitSlots: fc.boolean(),
  });
const truncate = fc.record({ kind: fc.constant("truncate" as const), sequence: fc.nat({ max: 2 }), by: small });
const linearizeRing = fc.record({
  kind: fc.constant("linearize" as const),
  length: fc.nat({ max: 4 }),
  back: mostly(fc.constant(0), fc.nat({ max: 3 })),
  dstCap: fc.integer({ min: 3, max: 7 }),
});
/** Writes from sources of these dtypes, among other things. */
export const kvCommands = (dtypes: readonly DType[] = floatDTypes): fc.Arbitrary<readonly Command[]> =>
  fc.array(fc.oneof({ weight: 5, arbitrary: write(dtypes) }, { weight: 1, arbitrary: truncate }, { weight: 1, arbitrary: linearizeRing }), {
    maxLength: 10,
  });

const ints = (list: readonly number[]): Tensor => Tensor.from("i32", [list.length], list);
/** Bytes of a vector as a cache keeps it. */
function encoded(dtype: DType, values: readonly number[]): number[] {
  const zeros = dtype === "q8_0" ? q8Dim(values.length) - values.length : 0;
  const all = [...values, ...new Array<number>(zeros).fill(0)];
  return [...Tensor.from(dtype, [all.length], all).bytes];
}

/** One cache, and what is to be in it: the bytes of the vector of every sequence, slot and head, in plain lists. */
class ModelCache {
  readonly vectors: number[][][][];
  readonly guard: ReturnType<typeof guarded>;
  readonly #shape: Shape;

  constructor(shape: Shape, dtype: DType, dim: number) {
    this.#shape = shape;
    const { batch, capacity, heads } = shape;
    const stored = dtype === "q8_0" ? q8Dim(dim) : dim;
    const list = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
    const empty = new Array<number>(Tensor.zeros(dtype, [stored]).bytes.length).fill(0);
    this.vectors = list(batch, () => list(capacity, () => list(heads, () => empty)));
    this.guard = guarded(dtype, shape.layout === "token" ? [batch, capacity, heads * stored] : [batch, heads, capacity, stored]);
  }
  get tensor(): Tensor {
    return this.guard.tensor;
  }
  expected(): Uint8Array {
    const { layout, heads } = this.#shape;
    const order = this.vectors.map((slots) =>
      layout === "token" ? slots.flat() : Array.from({ length: heads }, (_, h) => slots.map((s) => s[h] ?? [])).flat(),
    );
    return Uint8Array.from(order.flat(2));
  }
}

/** Any commands leave two caches as plain lists say; a command that must fail changes nothing; nothing outside is touched. */
export function checkKvModel(run: RunOp, shape: Shape, list: readonly Command[]): void {
  const caches = [0, 1].map((i) => new ModelCache(shape, shape.dtypes[i] ?? "f32", shape.dims[i] ?? 1));
  const [k, v] = caches;
  if (!k || !v) throw new Error("two caches");
  const lengths = new Array<number>(shape.batch).fill(0);
  const attempt = (fits: boolean, call: () => void): boolean => {
    const before = caches.map(({ tensor }) => tensor.bytes.slice());
    if (fits) call();
    else {
      expect(call).toThrow(/: expected .*, got /);
      expect(caches.map(({ tensor }) => tensor.bytes)).toEqual(before);
    }
    return fits;
  };
  for (const command of list) {
    if (command.kind === "truncate") {
      const sequence = command.sequence % shape.batch;
      lengths[sequence] = Math.max(0, (lengths[sequence] ?? 0) - command.by);
    } else if (command.kind === "write") writeBoth(run, shape, { k, v }, lengths, command, attempt);
    else linearize(run, shape, k, lengths, command, attempt);
    for (const cache of caches) {
      expect(Buffer.compare(cache.tensor.bytes, cache.expected()), JSON.stringify(command)).toBe(0);
      expect(cache.guard.intact()).toBe(true);
    }
  }
}

type Attempt = (fits: boolean, call: () => void) => boolean;

function writeBoth(
  run: RunOp,
  shape: Shape,
  { k, v }: { k: ModelCache; v: ModelCache },
  lengths: number[],
  command: Extract<Command, { kind: "write" }>,
  attempt: Attempt,
): void {
  const { heads, capacity, batch, xLayout } = shape;
  const { ring, both } = command;
  const trim = ring && command.trim;
  const slots = command.explicitSlots;
  // Without slots there is a row per sequence; with them, rows go to the sequences backwards.
  const rows = slots ? command.rows.slice(0, batch) : Array.from({ length: batch }, (_, i) => command.rows[i % command.rows.length]);
  const places = rows.map((row, i) => {
    const sequence = slots ? batch - 1 - i : i;
    const { tokens = 0, offset = 0, back = 0 } = row ?? {};
    return { sequence, tokens, offset, pos: (lengths[sequence] ?? 0) - back };
  });
  const srcTokens = Math.max(0, command.spare + Math.max(...places.map(({ tokens, offset }) => tokens + offset)));
  const fits = places.every(
    ({ tokens, offset, pos }) =>
      tokens === 0 ||
      (tokens > 0 &&
        offset + tokens <= srcTokens &&
        pos >= 0 &&
        capacity > 0 &&
        (ring ? trim || tokens <= capacity : pos + tokens <= capacity)),
  );
  const rng = new Rng(command.seed);
  const source = (dim: number) => {
    const rest = xLayout === "token" ? [srcTokens, heads * dim] : [heads, srcTokens, dim];
    return randomTensor(rng, command.from, [places.length, ...rest]);
  };
  const used = both ? [k, v] : [k];
  const sources = used.map((_, i) => source(shape.dims[i] ?? 1));
  const operands = [...used.map((c) => c.tensor), ...sources, ints(places.map((p) => p.pos))];
  const optional = [
    slots ? ints(places.map((p) => p.sequence)) : undefined,
    ints(places.map((p) => p.tokens)),
    ints(places.map((p) => p.offset)),
  ];
  const def: AnyOpDef = both ? ops.kvWritePair : ops.kvWrite;
  const [headDim, valueDim] = shape.dims;
  const attrs = checkAttrs(def, { layout: shape.layout, xLayout, ring, trim, headDim, ...(both ? { valueDim } : {}) });
  if (!attempt(fits, () => run(def, [...operands, ...optional], attrs))) return;
  for (const { sequence, tokens, offset, pos } of places)
    for (let t = 0; t < tokens; t++) {
      for (const [i, cache] of used.entries()) {
        const [dim, x] = [shape.dims[i] ?? 1, sources[i]];
        const row = places.findIndex((p) => p.sequence === sequence);
        for (let h = 0; h < heads; h++) {
          const token = offset + t;
          const at = (xLayout === "token" ? (row * srcTokens + token) * heads + h : (row * heads + h) * srcTokens + token) * dim;
          const values = Array.from({ length: dim }, (_, d) => x?.get(at + d) ?? 0);
          const slot = cache.vectors[sequence]?.[(pos + t) % capacity];
          if (slot) slot[h] = encoded(cache.tensor.dtype, values);
        }
      }
      lengths[sequence] = pos + t + 1;
    }
}

function linearize(
  run: RunOp,
  { batch, heads, capacity, layout }: Shape,
  k: ModelCache,
  lengths: readonly number[],
  { length, back, dstCap }: Extract<Command, { kind: "linearize" }>,
  attempt: Attempt,
): void {
  const { dtype, shape } = k.tensor;
  const dst = guarded(dtype, layout === "token" ? [batch, dstCap, shape[2] ?? 0] : [batch, heads, dstCap, shape[3] ?? 0]);
  const ends = lengths.map((n) => n - back);
  const fits = length <= Math.min(capacity, dstCap) && ends.every((end) => end >= length);
  const slots = [dst.tensor, k.tensor, ints(ends), Tensor.from("i32", [], [length])];
  if (!attempt(fits, () => run(ops.kvLinearizeRing, slots, {}))) expect(dst.tensor.bytes.every((b) => b === 0)).toBe(true);
  else {
    const unit = k.vectors[0]?.[0]?.[0]?.length ?? 0;
    for (let b = 0; b < batch; b++)
      for (let i = 0; i < dstCap; i++)
        for (let h = 0; h < heads; h++) {
          const at = (layout === "token" ? (b * dstCap + i) * heads + h : (b * heads + h) * dstCap + i) * unit;
          const slot = ((ends[b] ?? 0) - length + i) % capacity;
          const expected = i < length ? k.vectors[b]?.[slot]?.[h] : new Array<number>(unit).fill(0);
          expect([...dst.tensor.bytes.subarray(at, at + unit)]).toEqual(expected);
        }
  }
  expect(dst.intact()).toBe(true);
}
