import "@rlxjs/backend-cpu";
import { readdirSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadModel } from "@rlxjs/models-core/node";
import { expect, test } from "vitest";

const gguf = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));
const directory = fileURLToPath(new URL("../../models-core/test/fixtures/demo-model", import.meta.url));
const ids = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => 3 + ((i * 37 + seed * 101) % 1000));

async function greedy(model: Awaited<ReturnType<typeof loadModel>>, prompt: readonly number[]): Promise<number[]> {
  const out: number[] = [];
  for await (const piece of model.generate(prompt, { maxTokens: 6, stopTokens: [] })) out.push(...piece.ids);
  return out;
}

test("a sequence gives the logits of every token that it appends", async () => {
  using model = await loadModel(gguf, { kvCache: "f32" });
  using sequence = await model.createSequence();
  const { vocabSize } = model.config;
  const tokens = ids(21, 7);
  const expected = (await model.logits(tokens)).values();
  await sequence.append(tokens.slice(0, 12), { logits: false });
  for (const [from, to] of [
    [12, 13],
    [13, 21],
  ] as const) {
    const { logits } = await sequence.append(tokens.slice(from, to), { logits: "all" });
    expect(logits?.length).toBe((to - from) * vocabSize);
    const error = logits?.reduce((m, v, i) => Math.max(m, Math.abs(v - (expected[from * vocabSize + i] ?? Number.NaN))), 0);
    expect(error).toBeLessThan(1e-3);
  }
  expect(sequence.tokens).toEqual(tokens);
  await expect(sequence.append([1, -1], { logits: "all" })).rejects.toThrow("token 1");
  expect(sequence.tokens).toEqual(tokens);
});

test("a snapshot is put back byte for byte, into another sequence too", async () => {
  using model = await loadModel(gguf);
  using a = await model.createSequence();
  using b = await model.createSequence();
  const tokens = ids(40, 8);
  await a.append(tokens, { logits: false });
  const half = await a.snapshot(20);
  expect(half.tokens).toEqual(tokens.slice(0, 20));
  const { numLayers, numKvHeads, headDim } = model.config;
  expect(half.bytes).toBe(2 * numLayers * numKvHeads * headDim * 20 * 2);
  await b.append(ids(30, 9), { logits: false });
  await b.restore(half);
  expect(b.tokens).toEqual(half.tokens);
  // In one run of as many tokens as before, so that not even the last bit differs.
  a.truncate(20);
  const [x, y] = [await a.append(tokens.slice(20), { logits: true }), await b.append(tokens.slice(20), { logits: true })];
  expect(y.logits).toEqual(x.logits);
  expect(await b.snapshot()).toEqual(await a.snapshot());

  using f32 = await loadModel(gguf, { kvCache: "f32" });
  using other = await f32.createSequence();
  await expect(other.restore(half)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RlxError: snapshot: state "past_k_0": expected f32[1, 2, 20, 48], got f16[1, 2, 20, 48]]`,
  );
  await expect(b.restore({ ...half, rows: new Map() })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[RlxError: snapshot: state "past_k_0": expected f16[1, 2, 20, 48], got nothing]`,
  );
  await expect(a.snapshot(41)).rejects.toThrowErrorMatchingInlineSnapshot(`[RlxError: snapshot: expected a length of 0 to 40, got 41]`);
  expect(b.tokens).toEqual(tokens);
});

test("an aborted prefill leaves nothing wrong behind", async () => {
  using model = await loadModel(gguf, { kvCache: "f32" });
  const [long, other] = [ids(900, 1), ids(900, 2)];
  // The sequence of `long`; then prompts that share half of it are broken off at different places.
  const expected = await greedy(model, long);
  const mixed = [...long.slice(0, 450), ...other.slice(450)];
  using fresh = await loadModel(gguf, { kvCache: "f32" });
  const expectedMixed = await greedy(fresh, mixed);
  for (const delay of [0, 2, 5, 10, 20]) {
    await greedy(model, long);
    const aborted = model.generate(mixed, { maxTokens: 1, signal: AbortSignal.timeout(delay) }).next();
    await aborted.catch((error: Error) => expect(error.name).toBe("TimeoutError"));
    expect(await greedy(model, mixed)).toEqual(expectedMixed);
    expect(await greedy(model, long)).toEqual(expected);
  }
});

test("of two generations at once, one can be aborted", async () => {
  using model = await loadModel(gguf);
  const expected = await greedy(model, ids(30, 3));
  const controller = new AbortController();
  const endless = (async () => {
    for await (const _ of model.generate(ids(20, 4), { stopTokens: [], signal: controller.signal }));
  })();
  const both = Promise.all([greedy(model, ids(30, 3)), expect(endless).rejects.toThrow("enough")]);
  controller.abort(new Error("enough"));
  expect((await both)[0]).toEqual(expected);
});

test("a generation that is aborted while another one has its turn does not wait for it", async () => {
  using model = await loadModel(gguf, { kernels: "reference" });
  const order: string[] = [];
  const controller = new AbortController();
  const long = model.generate(ids(60, 5), { maxTokens: 1 }).next();
  const waiting = model.generate(ids(9, 6), { signal: controller.signal }).next();
  setTimeout(() => controller.abort(new Error("enough")), 5);
  await Promise.all([
    long.then(() => order.push("long")),
    expect(waiting)
      .rejects.toThrow("enough")
      .then(() => order.push("aborted")),
  ]);
  expect(order).toEqual(["aborted", "long"]);
  expect((await model.generate(ids(9, 6), { maxTokens: 1 }).next()).value?.ids).toHaveLength(1);
});

test("a model that is disposed during a generation ends it with an error", async () => {
  const model = await loadModel(gguf);
  const never = model.generate("Once");
  const run = (async () => {
    for await (const _ of model.generate("Once upon a time", { stopTokens: [] })) model[Symbol.dispose]();
  })();
  await expect(run).rejects.toThrow("the model is disposed");
  await expect(never.next()).rejects.toThrow("is disposed");
  await expect(model.embed(["x"])).rejects.toThrow("is disposed");
  model[Symbol.dispose]();
});

test.runIf(process.platform === "linux")("a load that fails or is aborted closes its files", async () => {
  const open = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
      } catch {
        return false; // the descriptor of the listing itself
      }
    }).length;
  for (const phase of ["open", "read", "compile"] as const) {
    const controller = new AbortController();
    const onProgress = (progress: { readonly phase: string }): void => {
      if (progress.phase === phase) controller.abort(new Error("enough"));
    };
    await expect(loadModel(directory, { signal: controller.signal, onProgress, kernels: "reference" })).rejects.toThrow("enough");
  }
  await expect(loadModel(directory, { contextLength: 0, kernels: "reference" })).rejects.toThrow("contextLength");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(open()).toBe(0);
});
