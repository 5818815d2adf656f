import {
  AttrError,
  type DType,
  kvCacheCopy,
  kvCacheCopyBatchF32,
  kvCacheCopyBatchF32ToF16Batched,
  kvCacheCopyF32,
  kvCacheCopySeqBf16,
  kvCacheCopySeqBf16ToBf16HeadMajor,
  kvCacheCopySeqF32,
  kvCacheCopySeqF32Dual,
  kvCacheCopySeqF32ToF16,
  kvCacheLinearizeRing,
  RunError,
  ShapeError,
  Tensor,
} from "@rlxjs/ir";
import { expect, test } from "vitest";
import { guarded } from "./support/kv-model.ts";

/** As callers without types have it. */
type Loose = (args: unknown) => void;
const constant = (dtype: DType, n: number, value: number): Tensor => Tensor.from(dtype, [n], new Array<number>(n).fill(value));

const src = constant("f32", 64, 1);
const heads = { nHeads: 2, headDim: 4, capacity: 4 };
const range = { ...heads, seqPosStart: 0, nTokens: 2 };
const rows = { rowSize: 4, nNew: 2, cacheCap: 4, writePos: 0 };
const cases: Record<string, (cache: Tensor, other: Tensor) => void> = {
  "source too small": (cache) => kvCacheCopySeqF32({ src, cache, ...range, nTokens: 4, srcTokOffset: 5 }),
  "rows of the source too small": (cache) => kvCacheCopyF32({ src: constant("f32", 7, 1), cache, ...rows }),
  "a head-major source with fewer tokens": (cache) =>
    kvCacheCopySeqBf16ToBf16HeadMajor({ src: constant("bf16", 16, 1), cache: asBf16(cache), ...range, srcSeqLen: 2, srcTokOffset: 1 }),
  "cache too small": (cache) => kvCacheCopySeqF32({ src, cache, ...range, capacity: 9 }),
  "batched: no whole sequence": (cache) =>
    kvCacheCopyBatchF32ToF16Batched({ src, cache: asF16(cache), ...heads, capacity: 99, slotId: [0], seqPos: [0] }),
  "source of another dtype": (cache) => kvCacheCopySeqBf16({ src, cache, ...range }),
  "cache of another dtype": (cache) => kvCacheCopySeqF32ToF16({ src, cache, ...range }),
  "16 bits into other 16 bits": (cache) => kvCacheCopy({ src: constant("bf16", 8, 1), cache: asF16(cache), ...rows }),
  "capacity 0": (cache) => kvCacheCopySeqF32({ src, cache, ...range, capacity: 0 }),
  "beyond a global cache": (cache) => kvCacheCopyF32({ src, cache, ...rows, writePos: 3 }),
  "more than a global cache": (cache) => kvCacheCopyF32({ src, cache, ...rows, nNew: 5 }),
  "a slot that is not wrapped": (cache) => kvCacheCopyBatchF32({ src, cache, ...heads, seqPos: 4 }),
  "more than a ring": (cache) => kvCacheCopySeqF32({ src, cache, ...range, nTokens: 5 }),
  "trim without a ring": (cache) => kvCacheCopyF32({ src, cache, ...rows, nNew: 5, trim: true }),
  "batched beyond the capacity": (cache) =>
    kvCacheCopyBatchF32ToF16Batched({ src, cache: asF16(cache), ...heads, slotId: [0, 1], seqPos: [0, 4] }),
  "a sequence that is not there": (cache) =>
    kvCacheCopyBatchF32ToF16Batched({ src, cache: asF16(cache), ...heads, slotId: [2], seqPos: [0] }),
  "a sequence twice": (cache) => kvCacheCopyBatchF32ToF16Batched({ src, cache: asF16(cache), ...heads, slotId: [1, 1], seqPos: [0, 1] }),
  "lists of two lengths": (cache) => kvCacheCopyBatchF32ToF16Batched({ src, cache: asF16(cache), ...heads, slotId: [1, 0], seqPos: [0] }),
  "source inside the cache": (cache) => kvCacheCopySeqF32({ src: cache, cache, ...range }),
  "V's source inside K's cache": (cache, other) =>
    kvCacheCopySeqF32Dual({ srcK: src, srcV: cache, cacheK: cache, cacheV: other, ...range }),
  "one cache for K and V": (cache) => kvCacheCopySeqF32Dual({ srcK: src, srcV: src, cacheK: cache, cacheV: cache, ...range }),
  "V does not fit, K would": (cache) =>
    kvCacheCopySeqF32Dual({ srcK: src, srcV: src, cacheK: cache, cacheV: Tensor.zeros("f32", [31]), ...range }),
  "2^32 elements": (cache) => kvCacheCopySeqF32({ src, cache, ...range, capacity: 2 ** 29 }),
  "a position that is no integer": (cache) => kvCacheCopySeqF32({ src, cache, ...range, seqPosStart: 0.5 }),
  "a position below 0": (cache) => kvCacheCopyF32({ src, cache, ...rows, writePos: -1 }),
  "a position beyond 2^53": (cache) => kvCacheCopySeqF32({ src, cache, ...range, seqPosStart: Number.MAX_SAFE_INTEGER }),
  "an argument that is missing": (cache) => (kvCacheCopySeqF32 as Loose)({ src, cache, ...heads, nTokens: 1 }),
  "an argument that is not known": (cache) => (kvCacheCopySeqF32 as Loose)({ src, cache, ...range, capcity: 1 }),
  "no tensor": (cache) => (kvCacheCopySeqF32 as Loose)({ src: new Float32Array(8), cache, ...range }),
  "no list": (cache) => (kvCacheCopyBatchF32ToF16Batched as Loose)({ src, cache: asF16(cache), ...heads, slotId: 0, seqPos: [0] }),
  "no flag": (cache) => (kvCacheCopyF32 as Loose)({ src, cache, ...rows, isSliding: 1 }),
  "no arguments": () => (kvCacheCopyF32 as Loose)(undefined),
  "linearize: more than the ring has": (cache, other) => kvCacheLinearizeRing({ ...ring, src: cache, dst: other, historyLen: 5 }),
  "linearize: more than dst holds": (cache, other) => kvCacheLinearizeRing({ ...ring, src: cache, dst: other, dstCap: 2 }),
  "linearize: more than was written": (cache, other) => kvCacheLinearizeRing({ ...ring, src: cache, dst: other, logicalEnd: 2 }),
  "linearize: capacity 0": (cache, other) => kvCacheLinearizeRing({ ...ring, src: cache, dst: other, srcCap: 0 }),
  "linearize: source too small": (cache, other) => kvCacheLinearizeRing({ ...ring, src: cache, dst: other, srcCap: 9 }),
  "linearize: in place": (cache) => kvCacheLinearizeRing({ ...ring, src: cache, dst: cache }),
};
const ring = { nHeads: 2, srcCap: 4, dstCap: 4, rowBytes: 16, historyLen: 3, logicalEnd: 9 };
const seenAs = (t: Tensor, dtype: DType): Tensor => Tensor.fromBytes(dtype, [t.bytes.length / 2], t.bytes);
const asF16 = (t: Tensor): Tensor => seenAs(t, "f16");
const asBf16 = (t: Tensor): Tensor => seenAs(t, "bf16");

test("errors are typed, change nothing, and say what was expected and what was given", () => {
  const messages = Object.entries(cases).map(([what, call]) => {
    const guards = [guarded("f32", [32]), guarded("f32", [32])] as const;
    const [cache, other] = [guards[0].tensor, guards[1].tensor];
    for (const { tensor } of guards) tensor.bytes.fill(0x11);
    try {
      call(cache, other);
    } catch (error) {
      expect(error instanceof AttrError || error instanceof ShapeError || error instanceof RunError, String(error)).toBe(true);
      for (const { tensor, intact } of guards) expect(tensor.bytes.every((b) => b === 0x11) && intact()).toBe(true);
      return `${what}: ${String(error)}`;
    }
    return `${what}: nothing`;
  });
  expect(messages.join("\n")).toMatchInlineSnapshot(`
    "source too small: ShapeError: [kvCacheCopySeqF32] src: expected at least 72 elements for [1, 9, 8], got 64
    rows of the source too small: ShapeError: [kvCacheCopyF32] src: expected at least 8 elements for [1, 2, 4], got 7
    a head-major source with fewer tokens: RunError: [kvCacheCopySeqBf16ToBf16HeadMajor] nTokens of sequence 0: expected 0 to 1, the tokens of the source from 1 on, got 2
    cache too small: ShapeError: [kvCacheCopySeqF32] cache: expected at least 72 elements for [1, 2, 9, 4], got 32
    batched: no whole sequence: ShapeError: [kvCacheCopyBatchF32ToF16Batched] cache: expected at least 792 elements for [1, 2, 99, 4], got 64
    source of another dtype: ShapeError: [kvCacheCopySeqBf16] src: expected dtype bf16, got f32
    cache of another dtype: ShapeError: [kvCacheCopySeqF32ToF16] cache: expected dtype f16, got f32
    16 bits into other 16 bits: ShapeError: [kvCacheCopy] cache: expected dtype bf16, got f16
    capacity 0: RunError: [kvCacheCopySeqF32] cache: expected a capacity of at least 1 for 2 tokens, got 0
    beyond a global cache: RunError: [kvCacheCopyF32] writePos of sequence 0: expected 0 to 2 for 2 tokens in the 4 slots of cache, got 3
    more than a global cache: RunError: [kvCacheCopyF32] nNew of sequence 0: expected at most the 4 slots of cache, got 5
    a slot that is not wrapped: RunError: [kvCacheCopyBatchF32] seqPos of sequence 0: expected 0 to 3 for 1 tokens in the 4 slots of cache, got 4
    more than a ring: RunError: [kvCacheCopySeqF32] nTokens of sequence 0: expected at most the 4 slots of cache (trim: true keeps the newest), got 5
    trim without a ring: AttrError: [kvCacheCopyF32] trim: expected ring: true beside it, only a ring drops tokens
    batched beyond the capacity: RunError: [kvCacheCopyBatchF32ToF16Batched] seqPos of sequence 1: expected 0 to 3 for 1 tokens in the 4 slots of cache, got 4
    a sequence that is not there: RunError: [kvCacheCopyBatchF32ToF16Batched] slotId of sequence 0: expected 0 to 1, a sequence of cache, got 2
    a sequence twice: RunError: [kvCacheCopyBatchF32ToF16Batched] slotId of sequence 1: expected another one than sequence 0 has, got 1
    lists of two lengths: AttrError: [kvCacheCopyBatchF32ToF16Batched] seqPos: expected 2 positions, as many as slotId has, got 1
    source inside the cache: RunError: [kvCacheCopySeqF32] src: expected memory of its own, got memory that overlaps cache
    V's source inside K's cache: RunError: [kvCacheCopySeqF32Dual] srcV: expected memory of its own, got memory that overlaps cacheK
    one cache for K and V: RunError: [kvCacheCopySeqF32Dual] cacheV: expected memory of its own, got memory that overlaps cacheK
    V does not fit, K would: ShapeError: [kvCacheCopySeqF32Dual] cacheV: expected at least 32 elements for [1, 2, 4, 4], got 31
    2^32 elements: ShapeError: [kvCacheCopySeqF32] cache: expected fewer than 2^32 elements, got 4294967296 in f32[1, 2, 536870912, 4]
    a position that is no integer: AttrError: [kvCacheCopySeqF32] seqPosStart: expected an integer of at least 0, got 0.5
    a position below 0: AttrError: [kvCacheCopyF32] writePos: expected an integer of at least 0, got -1
    a position beyond 2^53: RunError: [kvCacheCopySeqF32] seqPosStart of sequence 0: expected 0 to 9007199254740989 for 2 tokens in the 4 slots of cache, got 9007199254740991
    an argument that is missing: AttrError: [kvCacheCopySeqF32] seqPosStart: expected an integer of at least 0, got undefined
    an argument that is not known: AttrError: [kvCacheCopySeqF32] unknown argument "capcity": expected src, cache, nHeads, headDim, capacity, seqPosStart, nTokens, srcTokOffset, trim
    no tensor: AttrError: [kvCacheCopySeqF32] src: expected a tensor, got a Float32Array
    no list: AttrError: [kvCacheCopyBatchF32ToF16Batched] slotId: expected a list of integers, got 0
    no flag: AttrError: [kvCacheCopyF32] isSliding: expected true or false, got 1
    no arguments: AttrError: [kvCacheCopyF32] expected arguments by name, got undefined
    linearize: more than the ring has: RunError: [kvCacheLinearizeRing] historyLen: expected at most srcCap 4, got 5
    linearize: more than dst holds: RunError: [kvCacheLinearizeRing] historyLen: expected at most dstCap 2, got 3
    linearize: more than was written: RunError: [kvCacheLinearizeRing] logicalEnd: expected at least historyLen 3, got 2
    linearize: capacity 0: RunError: [kvCacheLinearizeRing] historyLen: expected at most srcCap 0, got 3
    linearize: source too small: ShapeError: [kvCacheLinearizeRing] src: expected at least 288 bytes for [2, 9, 16], got 128
    linearize: in place: RunError: [kvCacheLinearizeRing] src: expected memory of its own, got memory that overlaps dst"
  `);
});
