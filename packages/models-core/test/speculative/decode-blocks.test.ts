import "@rlxjs/backend-cpu";
import { Session } from "@rlxjs/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BlockCounts,
  type BlockDecodeOptions,
  type BlockJudge,
  type BlockModel,
  type BlockPiece,
  type BoxTokens,
  boxJudge,
  decodeBlocks,
  blockProbabilities,
} from "../../src/index.ts";
import { blockModel, blockRunner, blockWeights, type RunnerOptions } from "./block-model.ts";

const box: BoxTokens = { start: 1, end: 2, none: 3, null: 4, stop: 5, firstCoordinate: 10, lastCoordinate: 109 };
const maskId = 6;
const prompt = [7, 8, 9, 7];
/** Four boxes, the last of them empty, and the end. In the second, the model is unsure of the third coordinate: 12 is likelier than 95. */
const text = [1, 20, 30, 40, 50, 2, 1, 21, 31, 12, 51, 2, 1, 22, 32, 42, 52, 2, 1, 3, 2, 5];
function script(place: number, token: number): number {
  const next = place + 1 - prompt.length;
  if (token === text[next]) return 12;
  if (next === 9 && token === 95) return 11;
  // Padding behind the empty box.
  return next >= 21 && token === box.null ? 11 : 0;
}
const weights = blockWeights(script, 0.05);

let session: Session;
beforeAll(async () => {
  session = await Session.open({ device: "cpu" });
});
afterAll(() => session[Symbol.dispose]());

interface Result {
  readonly ids: readonly number[];
  readonly counts: BlockCounts | undefined;
  readonly pieces: readonly BlockPiece[];
  readonly pastLen: number;
}
type Setup = Partial<RunnerOptions> & Partial<BlockDecodeOptions>;
async function decode({ past = "padded", where = "host", ...setup }: Setup): Promise<Result> {
  using runner = blockRunner(session, { past, where, block: 6, weights, ...setup });
  const pieces: BlockPiece[] = [];
  const options = { mode: "hybrid", block: 6, maskId, judge: boxJudge(box), stopTokens: [box.stop], ...setup } as const;
  for await (const piece of decodeBlocks(blockModel(runner), prompt, { ...options, resume: (id) => id === box.end })) pieces.push(piece);
  return { ids: pieces.flatMap((p) => p.ids), counts: pieces.at(-1)?.counts, pieces, pastLen: runner.kv.pastLen };
}

const forms = (["padded", "symbolic", "state"] as const).flatMap((past) =>
  (["host", "resident"] as const).map((where) => ({ past, where })),
);
describe.each(forms)("$past past, rows $where", (form) => {
  test("token by token", async () => {
    const { ids, counts } = await decode({ ...form, mode: "slow" });
    expect(ids).toEqual(text.slice(0, -1));
    expect(counts).toMatchObject({ acceptedBlocks: 0, refusedBlocks: 0, blockTokens: 0, singleTokens: text.length - 1 });
  });

  test("hybrid: boxes by blocks, single tokens where a coordinate is unsure, and back", async () => {
    const { ids, counts, pieces } = await decode(form);
    expect(ids).toEqual(text.slice(0, -1));
    expect(counts).toEqual({ acceptedBlocks: 4, refusedBlocks: 0, blockTokens: 18, singleTokens: 3, fallbacks: 1, returns: 1 });
    expect(pieces.map((p) => (p.from === "block" ? p.ids.length : "."))).toEqual([6, 3, ".", ".", ".", 6, 3]);
  });

  test("fast: blocks only, one token of a refused one", async () => {
    const { ids, counts } = await decode({ ...form, mode: "fast" });
    expect(ids).toEqual(text.slice(0, -1));
    expect(counts).toMatchObject({ acceptedBlocks: 4, refusedBlocks: 3, singleTokens: 0, fallbacks: 0, returns: 0 });
  });
});

test("the cache holds the text and what was kept of blocks, whatever was run", async () => {
  const rows: BlockJudge = (slab, tokens) => {
    const verdict = boxJudge(box)(slab, tokens);
    return verdict && { ...verdict, rows: 0 };
  };
  const all = await decode({ maxTokens: 12 });
  expect(all).toMatchObject({ ids: text.slice(0, 12), pastLen: prompt.length + 11 });
  const none = await decode({ maxTokens: 6, judge: rows });
  expect(none).toMatchObject({ ids: text.slice(0, 6), pastLen: prompt.length });
  const again = await decode({ judge: rows });
  expect(again.ids).toEqual(text.slice(0, -1));
});

test("without a script: the same ids on the host and on the device, in every form, blocks kept where the model is sure", async () => {
  const random = blockWeights();
  const sure: BlockJudge = (slab) => {
    const ids: number[] = [];
    for (let row = 0; row < slab.rows; row++) {
      const p = blockProbabilities(slab, row);
      const best = p.indexOf(Math.max(...p));
      if ((p[best] ?? 0) < 0.02) break;
      ids.push(best);
    }
    return ids.length > 0 ? { ids } : undefined;
  };
  const results: Result[] = [];
  for (const form of forms)
    results.push(
      await decode({ ...form, weights: random, judge: sure, block: 4, maxTokens: 48, stopTokens: [], temperature: 0.7, seed: 3 }),
    );
  const [first] = results;
  expect(first?.ids).toHaveLength(48);
  expect(first?.counts?.acceptedBlocks).toBeGreaterThan(0);
  expect(first?.counts?.refusedBlocks).toBeGreaterThan(0);
  for (const result of results) expect(result).toEqual(first);
});

test("no token is run twice, but the last of an accepted block where single tokens follow", async () => {
  using runner = blockRunner(session, { past: "state", where: "resident", block: 6, weights });
  const model = blockModel(runner);
  const runs: number[][] = [];
  const counted: BlockModel = {
    ...model,
    get pastLen() {
      return model.pastLen;
    },
    append(ids, signal) {
      runs.push([...ids]);
      return model.append(ids, signal);
    },
  };
  const decoded = async (judge: BlockJudge, maxTokens: number): Promise<readonly number[]> => {
    runs.length = 0;
    runner.kv.truncate(0);
    const ids: number[] = [];
    for await (const piece of decodeBlocks(counted, prompt, { mode: "hybrid", block: 6, maskId, judge, maxTokens })) ids.push(...piece.ids);
    return ids;
  };
  // Every block is refused: the logits behind the tokens that the block was tried on are those of the next token.
  expect(await decoded(() => undefined, 5)).toEqual(text.slice(0, 5));
  expect(runs).toEqual([prompt, ...text.slice(0, 4).map((id) => [id])]);
  // The second box ends after two coordinates; the third is drawn behind the second, which is run for it.
  expect(await decoded(boxJudge(box), 10)).toEqual(text.slice(0, 10));
  expect(runs).toEqual([prompt, [text[8]]]);
});

test("limits end it, an aborted one leaves the cache whole", async () => {
  expect((await decode({ maxTokens: 4 })).ids).toEqual(text.slice(0, 4));
  expect((await decode({ maxTokens: 0 })).ids).toEqual([]);
  const full = await decode({ stopTokens: [], mode: "slow" });
  expect(full.ids.length).toBe(64 - prompt.length);
  await expect(decode({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  const controller = new AbortController();
  using runner = blockRunner(session, { past: "state", where: "resident", block: 6, weights });
  const options = { mode: "hybrid", block: 6, maskId, judge: boxJudge(box), signal: controller.signal } as const;
  const run = (async () => {
    for await (const _ of decodeBlocks(blockModel(runner), prompt, options)) controller.abort(new Error("late"));
  })();
  await expect(run).rejects.toThrow("late");
  expect(runner.kv.pastLen).toBe(prompt.length + 6);
});

test("verdicts that no block can give are errors", async () => {
  const judged = (judge: BlockJudge): Promise<Result> => decode({ judge });
  await expect(judged(() => ({ ids: [] }))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: verdict: tokens: expected an integer from 1 to 6, got 0]`,
  );
  await expect(judged(() => ({ ids: [1, 2, 3, 4, 5, 6, 7] }))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: verdict: tokens: expected an integer from 1 to 6, got 7]`,
  );
  await expect(judged(() => ({ ids: [1], rows: 2 }))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: verdict: rows: expected an integer from 0 to 1, got 2]`,
  );
  await expect(judged(() => ({ ids: [112] }))).rejects.toThrowErrorMatchingInlineSnapshot(
    `[SpeculativeError: verdict: token: expected an integer from 0 to 111, got 112]`,
  );
});
