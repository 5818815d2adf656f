import type { Rng } from "../rng.ts";
import { randomTensor } from "../samples.ts";
import { Tensor } from "../tensor.ts";
import { attentionSample } from "./attention-samples.ts";

type Entries = readonly (readonly [index: number, value: number])[];
const put = (t: Tensor, entries: Entries): void => {
  for (const [index, value] of entries) t.set(index, value);
};
/** A mask [B, H, Sq, Skv]. */
function maskOf(
  dtype: "bool" | "f32",
  shape: readonly [number, number, number, number],
  at: (b: number, query: number, slot: number) => number,
): Tensor {
  const [, heads, queries, slots] = shape;
  const values = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) =>
    at(Math.floor(i / slots / queries / heads), Math.floor(i / slots) % queries, i % slots),
  );
  return Tensor.from(dtype, shape, values);
}

/** So many keys that each of 32 parts takes several steps; few of them have nearly all of the weight: the last ones, and both in one step and in the next. */
function longCache(rng: Rng) {
  const [capacity, shortest, valueDim] = [8320, 8193, 5];
  const peaks = new Map([
    ...[7, 512 + 259, shortest - 1, capacity - 1].map((slot) => [slot, 12] as const),
    ...[256 + 9, 512 + 5, 4000].map((slot) => [slot, 11] as const),
  ]);
  const sample = attentionSample(rng, {
    ...{ sq: 1, batch: 2, capacity, heads: [2, 1], headDim: 1, valueDim, kvLen: [shortest, capacity], slots: [0, 0] },
    mask: maskOf("f32", [1, 1, 1, capacity], (_, __, slot) => peaks.get(slot) ?? 0),
    attrs: { causal: true, scale: 0.1 },
  });
  put(
    sample.inputs.v,
    [...peaks.keys()].flatMap((slot, i) => Array.from({ length: valueDim }, (_, d) => [slot * valueDim + d, (i + 1) * (-1) ** i] as const)),
  );
  return sample;
}

/**
 * Keys that are split where a sequence has no or few of them, and sinks that weigh nothing, or are no number. Scores of one head are so low that exp of their
 * distance from another's is 0: heads are alone with their largest score.
 */
const emptyParts = (rng: Rng) =>
  attentionSample(rng, {
    ...{ sq: 1, batch: 3, capacity: 300, heads: [4, 2], kvLen: [300, 20, 0] },
    mask: Tensor.from("f32", [1, 4, 1, 1], [-200, 0, 0, 0]),
    sinks: [Number.NEGATIVE_INFINITY, -200, 2, Number.NaN],
    attrs: { causal: true },
  });

/** Masks of every rank, and such that are broadcast. */
function broadcastMasks(rng: Rng) {
  const sizes = { batch: 2, sq: 3, capacity: 9, heads: [4, 2] } as const;
  const biases = [[], [9], [3, 9], [4, 1, 9], [2, 1, 3, 1]].map((shape) => randomTensor(rng, "f32", shape));
  return [
    ...[...biases, randomTensor(rng, "bool", [1, 9])].map((mask) => attentionSample(rng, { ...sizes, mask })),
    attentionSample(rng, { ...sizes, capacity: 1, mask: Tensor.from("bool", [2, 1], [1, 0]) }),
  ];
}

/**
 * A bias for each score. It hides the values of slot 3, which are NaN, from all queries but one, which has `seen` for it. Slots from 20 to `end` are hidden
 * from all.
 */
export function biasedAttention(
  rng: Rng,
  end: number,
  more: { readonly sq: number; readonly capacity: number; readonly heads: readonly [number, number]; readonly headDim: number },
  seen = 0,
) {
  const { sq, capacity, heads } = more;
  const bias = (b: number, query: number, slot: number): number => {
    if (slot === 3 && b === 1 && query === sq - 1) return seen;
    return slot === 3 || (slot >= 20 && slot < end) ? Number.NEGATIVE_INFINITY : rng.normal();
  };
  const sample = attentionSample(rng, { ...more, batch: 2, mask: maskOf("f32", [2, heads[0], sq, capacity], bias) });
  const { v } = sample.inputs;
  const width = v.shape[2] ?? 0;
  put(
    v,
    [0, 1].flatMap((b) => Array.from({ length: width }, (_, d) => [(b * capacity + 3) * width + d, Number.NaN] as const)),
  );
  return sample;
}

/**
 * Tiles of 32 keys, each for the rows of one simdgroup; one of which a single key is seen, one of which none is, one that all see. Values that are no finite
 * number, one found by each simdgroup: rows that see them have them, the others do not notice.
 */
function poisoned(rng: Rng) {
  const [sq, capacity, valueDim] = [20, 201, 136];
  /** Slot, column, value, and the queries that see it. */
  const poison: readonly (readonly [number, number, number, readonly number[]])[] = [
    [0, 10, Number.NaN, [1]],
    [34, 3, Number.POSITIVE_INFINITY, [5, 7]],
    [68, 70, Number.NEGATIVE_INFINITY, [9]],
    [77, 70, Number.POSITIVE_INFINITY, [9, 10]],
    [127, 100, Number.NaN, [12]],
    [20, 135, Number.POSITIVE_INFINITY, [2]],
    [128, 0, 0.5, [0]],
  ];
  const sees = (query: number, slot: number): boolean => {
    const listed = poison.find(([at]) => at === slot);
    if (listed) return listed[3].includes(query);
    const tile = Math.floor(slot / 32);
    return tile === 6 || (tile === (query >> 2) % 4 && rng.uniform() < 0.8);
  };
  const sample = attentionSample(rng, {
    ...{ sq, capacity, valueDim, heads: [1, 1], headDim: 16 },
    mask: maskOf("bool", [1, 1, sq, capacity], (_, query, slot) => Number(sees(query, slot))),
  });
  put(
    sample.inputs.v,
    poison.map(([slot, column, value]) => [slot * valueDim + column, value]),
  );
  return sample;
}

/** Only a kernel that leaves out what a query does not see computes these: a product with a weight of 0 does not. */
export const unseenValues = "values that are no finite number, each seen by few queries";

/** What random operands do not have. */
export const hardAttentionSamples = (rng: Rng) => [
  longCache(rng),
  emptyParts(rng),
  ...broadcastMasks(rng),
  ...[
    // Two tiles of rows, the second of which is not full.
    biasedAttention(rng, 20, { sq: 9, capacity: 40, heads: [2, 2], headDim: 12 }),
    // Fewer keys than half a tile.
    biasedAttention(rng, 0, { sq: 17, capacity: 5, heads: [1, 1], headDim: 4 }),
    // Two chunks of columns, the second of which has one.
    biasedAttention(rng, 68, { sq: 20, capacity: 70, heads: [1, 1], headDim: 65 }),
    // Values that are seen, with a weight of 0.
    ...[1, 9].map((sq) => biasedAttention(rng, 20, { sq, capacity: 40, heads: [2, 2], headDim: 12 }, -200)),
    poisoned(rng),
  ].map((sample) => ({ name: unseenValues, ...sample })),
];
