import { Tensor } from "@rlxjs/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  batchedBuckets,
  bucketDecodeMask,
  bucketDecodeMaskWindowed,
  compactBucketedKvBuffer,
  inferPrefillKvSeq,
  KvCacheState,
  kvFromPrefillOutputs,
  pastKvInputNames,
  prefillCacheKey,
  splitCacheKey,
  splitDecodeLogitsKv,
  splitDecodeLogitsKvAux,
} from "../../src/index.ts";

const f32 = (...values: number[]) => Float32Array.from(values);

describe("masks", () => {
  test("ones for the past and the new row, zeros between", () => {
    expect([...bucketDecodeMask(10, 15)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1]);
    expect([...bucketDecodeMask(0, 2)]).toEqual([0, 0, 1]);
    expect([...bucketDecodeMask(2, 2, 3)]).toEqual([1, 1, 1, 1, 1]);
  });
  test("a window keeps the newest rows of the past; 0 keeps all", () => {
    expect([...bucketDecodeMaskWindowed(5, 6, 2)]).toEqual([0, 0, 0, 1, 1, 0, 1]);
    expect(bucketDecodeMaskWindowed(5, 6, 0)).toEqual(bucketDecodeMask(5, 6));
    expect(bucketDecodeMaskWindowed(5, 6, 9)).toEqual(bucketDecodeMask(5, 6));
  });
  test("a past beyond upper is refused", () => {
    expect(() => bucketDecodeMask(7, 6)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: past: expected a whole number from 0 to 6, got 7]`,
    );
  });
});

describe("keys and names", () => {
  test("keys are exact for large lengths and batches", () => {
    expect(prefillCacheKey(1, 5)).toBe(2 ** 32 + 5);
    expect(prefillCacheKey(3, 2 ** 31)).toBe(3 * 2 ** 32 + 2 ** 31);
    const parts = fc.tuple(fc.integer({ min: 1, max: 2 ** 21 - 1 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    fc.assert(
      fc.property(parts, ([batch, seq]) => {
        expect(splitCacheKey(prefillCacheKey(batch, seq))).toEqual({ batch, seq });
      }),
    );
    for (const [batch, seq] of [
      [0, 1],
      [2 ** 21, 1],
      [1, 2 ** 32],
      [1.5, 1],
    ] as const)
      expect(() => prefillCacheKey(batch, seq)).toThrow("KV cache: key: ");
  });
  test("ranges of lengths for several batch sizes do not touch", () => {
    expect(batchedBuckets([{ start: 0, end: 9 }], [1, 3])).toEqual([
      { start: 2 ** 32, end: 2 ** 32 + 9 },
      { start: 3 * 2 ** 32, end: 3 * 2 ** 32 + 9 },
    ]);
  });
  test("names come in the order of the outputs", () => {
    expect(pastKvInputNames(2)).toEqual(["past_k_0", "past_v_0", "past_k_1", "past_v_1"]);
  });
});

describe("outputs", () => {
  test("are told apart", () => {
    expect(splitDecodeLogitsKv(["logits", "k0", "v0", "k1", "v1"], 2)).toEqual({
      logits: "logits",
      layersK: ["k0", "k1"],
      layersV: ["v0", "v1"],
      aux: [],
    });
    expect(splitDecodeLogitsKvAux([0, 1, 2, 3, 4], 1, 2).aux).toEqual([3, 4]);
  });
  test("another number of them is refused", () => {
    expect(() => splitDecodeLogitsKv([0, 1, 2, 3, 4, 5, 6], 4)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: outputs after the logits: expected 8 keys and values (4 layers), got 6]`,
    );
    expect(() => splitDecodeLogitsKvAux([0, 1, 2], 1, 1)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: outputs after the logits: expected 2 keys and values (1 layers) and 1 more, got 2]`,
    );
    expect(() => splitDecodeLogitsKv([], 0)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: outputs: expected the logits first, got nothing]`,
    );
  });
  test("the new row moves in front of the padding", () => {
    const rows = f32(1, 1.1, 2, 2.1, 0, 0, 9, 9.1);
    expect(compactBucketedKvBuffer(rows, { pastLenAfter: 3, kvDim: 2 })).toEqual(f32(1, 1.1, 2, 2.1, 9, 9.1));
    expect(compactBucketedKvBuffer(rows, { pastLenAfter: 4, kvDim: 2 })).toEqual(rows);
    expect(compactBucketedKvBuffer(rows, { pastLenAfter: 3, kvDim: 2, newRows: 2 })).toEqual(f32(1, 1.1, 0, 0, 9, 9.1));
  });
  test("in every sequence of a batch", () => {
    const two = f32(1, 2, 0, 9, 3, 4, 0, 8);
    expect(compactBucketedKvBuffer(two, { pastLenAfter: 3, kvDim: 1, batch: 2 })).toEqual(f32(1, 2, 9, 3, 4, 8));
    expect(compactBucketedKvBuffer(two, { pastLenAfter: 1, kvDim: 1, batch: 2 })).toEqual(f32(9, 8));
  });
  test("a prefill's length follows from its size", () => {
    expect(inferPrefillKvSeq(24, 4, 2)).toBe(3);
    expect(() => inferPrefillKvSeq(25, 4, 2)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: prefill output: expected whole rows of 2 x 4 elements, got 25 elements]`,
    );
  });
  test("a prefill's outputs become a cache, layer by layer", () => {
    const tensor = (shape: number[], value: number) => Tensor.from("f32", shape, new Array(shape.reduce((a, b) => a * b)).fill(value));
    const outputs = [tensor([2, 1, 7], 0), tensor([2, 3, 4], 1), tensor([2, 3, 4], 2), tensor([2, 3, 2], 3), tensor([2, 3, 2], 4)];
    const kv = kvFromPrefillOutputs(outputs, { layers: 2 });
    expect([kv.pastLen, kv.batch, kv.kvDims, kv.layersV[1]]).toEqual([3, 2, [4, 2], f32(...new Array(12).fill(4))]);
    expect(() => kvFromPrefillOutputs(outputs.with(2, tensor([2, 3, 2], 2)), { layers: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: prefill output v_0: expected [2, 3, 4], got [2,3,2]]`,
    );
  });
});

describe("KvCacheState", () => {
  const counting = (batch: number, kvDims: readonly number[], rows: number, from = 0) =>
    kvDims.map((width, layer) =>
      Float32Array.from({ length: batch * rows * width }, (_, i) => {
        const [b, row] = [Math.floor(i / (rows * width)), Math.floor(i / width) % rows];
        return 1000 * layer + 100 * b + from + row + 1;
      }),
    );

  test("pads every sequence, not the batch", () => {
    const layersK = [f32(1, 2, 3, 4)];
    const kv = new KvCacheState({ batch: 2, kvDims: [1], pastLen: 2, layersK, layersV: [f32(5, 6, 7, 8)] });
    expect(kv.padLayersToUpper(4)).toEqual({ layersK: [f32(1, 2, 0, 0, 3, 4, 0, 0)], layersV: [f32(5, 6, 0, 0, 7, 8, 0, 0)] });
    kv.append([f32(9, 10)], [f32(11, 12)]);
    expect(kv.layersK).toEqual([f32(1, 2, 9, 3, 4, 10)]);
    expect(kv.layersV).toEqual([f32(5, 6, 11, 7, 8, 12)]);
  });

  test("padding after truncate is zeros again", () => {
    const kv = new KvCacheState({ kvDims: [2] });
    kv.append([f32(1, 1, 2, 2, 3, 3)], [f32(4, 4, 5, 5, 6, 6)]);
    kv.padLayersToUpper(4);
    kv.truncate(1);
    expect(kv.padLayersToUpper(4).layersK).toEqual([f32(1, 1, 0, 0, 0, 0, 0, 0)]);
  });

  test("rows are copied once per padding, then appended in place", () => {
    const kv = new KvCacheState({ kvDims: [4, 2] });
    kv.append(counting(1, [4, 2], 5), counting(1, [4, 2], 5));
    const moved = kv.movedBytes;
    kv.padLayersToUpper(64);
    const once = kv.movedBytes - moved;
    expect(once).toBe(2 * 5 * 6 * 4);
    for (let i = 5; i < 64; i++) {
      kv.append(counting(1, [4, 2], 1, i), counting(1, [4, 2], 1, i));
      kv.padLayersToUpper(64);
    }
    expect(kv.movedBytes - moved).toBe(once);
  });

  test("trim drops the oldest rows and moves the base", () => {
    const kv = new KvCacheState({ batch: 2, kvDims: [1, 1] });
    kv.append(counting(2, [1, 1], 5), counting(2, [1, 1], 5));
    kv.trim(2, [1]);
    expect([kv.pastLen, kv.layersKvBase, kv.rowsOf(0), kv.rowsOf(1)]).toEqual([5, [0, 3], 5, 2]);
    expect(kv.layersK[1]).toEqual(f32(1004, 1005, 1104, 1105));
    kv.append(counting(2, [1, 1], 1, 5), counting(2, [1, 1], 1, 5));
    expect(kv.layersK[1]).toEqual(f32(1004, 1005, 1006, 1104, 1105, 1106));
    expect(() => kv.truncate(2)).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: truncate: expected a whole number from 3 to 6, got 2]`,
    );
  });

  test("a refused append changes nothing", () => {
    const kv = new KvCacheState({ kvDims: [2, 3] });
    kv.append([f32(1, 2), f32(3, 4, 5)], [f32(1, 2), f32(3, 4, 5)]);
    expect(() => kv.append([f32(1, 2), f32(3, 4, 5)], [f32(1, 2), f32(3, 4)])).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: append: values[1]: expected 3 elements for [1,1,3], got 2]`,
    );
    expect(() => kv.append([f32(1, 2)], [f32(1, 2)])).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: append: keys: expected 2 layers, got 1]`,
    );
    expect([kv.pastLen, kv.layersK]).toEqual([1, [f32(1, 2), f32(3, 4, 5)]]);
  });

  test("init is checked", () => {
    const make = (init: object) => () => new KvCacheState({ kvDims: [2], ...init });
    expect(make({ pastLen: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: layersK[0]: expected 4 elements for [1,2,2], got 0]`,
    );
    expect(make({ batch: 0 })).toThrowErrorMatchingInlineSnapshot(`[KvStateError: KV cache: batch: expected a whole number >= 1, got 0]`);
    expect(make({ kvDims: [0] })).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: kvDims[0]: expected a whole number >= 1, got 0]`,
    );
    expect(make({ layersKvBase: [1] })).toThrowErrorMatchingInlineSnapshot(
      `[KvStateError: KV cache: layersKvBase[0]: expected a whole number from 0 to 0, got 1]`,
    );
  });

  test("any sequence of operations leaves it equal to lists of rows", () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), n: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constantFrom("truncate" as const, "trim" as const, "pad" as const), n: fc.nat(30) }),
      fc.record({ kind: fc.constant("clone" as const), n: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(operation, { maxLength: 30 }), (batch, operations) => {
        const kvDims = [3, 1];
        let kv = new KvCacheState({ batch, kvDims });
        // Per layer and sequence the rows that are left; a row is the number of its position.
        const model = kvDims.map(() => ({ base: 0, rows: [] as number[] }));
        let pastLen = 0;
        let next = 0;
        for (const { kind, n } of operations) {
          if (kind === "append") {
            kv.append(counting(batch, kvDims, n, next), counting(batch, kvDims, n, next + 500));
            for (const layer of model) layer.rows.push(...Array.from({ length: n }, (_, i) => next + i + 1));
            pastLen += n;
            next += n;
          } else if (kind === "trim") {
            kv.trim(n, [1]);
            for (const layer of model.slice(1)) layer.base += layer.rows.splice(0, Math.max(0, layer.rows.length - n)).length;
          } else if (kind === "pad") {
            const upper = pastLen + (n % 7);
            const { layersK } = kv.padLayersToUpper(upper);
            const zeros = (rows: number) => new Array(upper - rows).fill(0);
            for (const [i, data] of layersK.entries())
              for (let b = 0; b < batch; b++) {
                const width = kvDims[i] ?? 0;
                const column = Array.from({ length: upper }, (_, r) => data[(b * upper + r) * width] ?? -1);
                const rows = model[i]?.rows ?? [];
                expect(column).toEqual([...rows.map((p) => 1000 * i + 100 * b + p), ...zeros(rows.length)]);
              }
          } else {
            const length = Math.max(Math.min(n, pastLen), ...model.map(({ base }) => base));
            if (kind === "truncate") kv.truncate(length);
            else kv = kv.clone(length);
            pastLen = length;
            for (const layer of model) layer.rows.length = length - layer.base;
          }
          expect([kv.pastLen, kv.layersKvBase]).toEqual([pastLen, model.map(({ base }) => base)]);
          const rows = (offset: number) =>
            model.map((layer, i) =>
              f32(
                ...Array.from({ length: batch }, (_, b) =>
                  layer.rows.flatMap((p) => new Array(kvDims[i]).fill(1000 * i + 100 * b + p + offset)),
                ).flat(),
              ),
            );
          expect(kv.layersK).toEqual(rows(0));
          expect(kv.layersV).toEqual(rows(500));
        }
      }),
      { numRuns: 60 },
    );
  });
});
