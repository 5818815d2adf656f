import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buckets, decodeLoop, greedy, lastRow, maxDifference, recompute } from "../decode-loop.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

/** Decodes `steps` tokens for every one of the batches and numbers of key heads per layer. */
export interface DecodeSizes {
  readonly steps: number;
  readonly batches: readonly number[];
  readonly layers: readonly (readonly number[])[];
}
const all: DecodeSizes = {
  steps: 20,
  batches: [1, 3],
  layers: [
    [2, 2],
    [2, 1],
  ],
};

export async function bucketedDecodeSuite(open: OpenSession, { steps: count, batches, layers }: DecodeSizes = all): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  /** The first ids of the sequences; the others follow from the logits. */
  const starts = (batch: number): number[] => [3, 9, 14].slice(0, batch);

  /** Decode greedily; per step the ids that went in and the logits of every sequence. */
  async function generate(form: Parameters<typeof decodeLoop>[1], where: "host" | "resident", ranges = buckets) {
    using loop = decodeLoop(session, form, { where, ranges });
    const steps: { ids: number[]; logits: number[][] }[] = [];
    let ids = starts(form.batch);
    for (let past = 0; past < count; past++) {
      const { logits, upper } = await loop.step(ids);
      expect([loop.kv.pastLen, upper >= past]).toEqual([past + 1, true]);
      steps.push({ ids, logits: ids.map((_, b) => lastRow(logits, b)) });
      ids = greedy(logits);
    }
    return steps;
  }

  describe.each(layers.map((kvHeads) => ({ kvHeads })))("key heads $kvHeads", ({ kvHeads }) => {
    describe.each([...batches])("batch %i", (batch) => {
      let expected: number[][][];
      let ids: number[][];

      // Greedy ids by recomputing everything for every token.
      beforeAll(async () => {
        ids = starts(batch).map((id) => [id]);
        for (let n = 1; n < count; n++) {
          const logits = await recompute(session, kvHeads, ids);
          for (const [b, sequence] of ids.entries()) {
            const row = logits[b]?.at(-1) ?? [];
            sequence.push(row.indexOf(Math.max(...row)));
          }
        }
        expected = await recompute(session, kvHeads, ids);
      });

      test.each([
        ["padded", "host"],
        ["padded", "resident"],
        ["symbolic", "host"],
        ["symbolic", "resident"],
        ["state", "host"],
        ["state", "resident"],
      ] as const)("%s past, rows %s: logits and greedy ids of a full recompute, over rollovers", async (past, where) => {
        const steps = await generate({ past, kvHeads, batch }, where);
        expect(steps.map((s) => s.ids)).toEqual(steps.map((_, n) => ids.map((sequence) => sequence[n])));
        for (const [n, { logits }] of steps.entries())
          for (const [b, row] of logits.entries()) expect(maxDifference(row, expected[b]?.[n] ?? [])).toBeLessThan(1e-4);
      });

      test("exact-length graphs need no mask and agree", async () => {
        const exact = Array.from({ length: count }, (_, past) => ({ start: past, end: past + 1 }));
        const steps = await generate({ past: "unmasked", kvHeads, batch }, "host", exact);
        for (const [n, { logits }] of steps.entries())
          for (const [b, row] of logits.entries()) expect(maxDifference(row, expected[b]?.[n] ?? [])).toBeLessThan(1e-4);
      });
    });
  });
}
