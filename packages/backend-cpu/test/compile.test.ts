import { define, type Graph, Tensor, type Value } from "@rlxjs/ir";
import { nextTask, printProgram, runInSlices, Session, UseAfterDisposeError, WeightStore, type Work } from "@rlxjs/runtime";
import { afterAll, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const session = await Session.open({ device: "cpu" });
afterAll(() => session[Symbol.dispose]());

/** A chain of nodes that nothing fuses, then a linear with joined, packed weights. */
const chain = (nodes: number): Graph<"a" | "b"> =>
  define("chain", (g) => {
    let x: Value = g.input("x", "f32", [1, 32]);
    for (let i = 0; i < nodes; i++) x = g.softmax(x);
    return { a: g.linear(x, g.param("a", "q8_0", [16, 32])), b: g.linear(x, g.param("b", "q8_0", [16, 32])) };
  });
const stores = () => new WeightStore({ a: Tensor.zeros("q8_0", [16, 32]), b: Tensor.zeros("q8_0", [16, 32]) });

/** Tasks that had their turn while `work` was under way. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const settled = work.finally(() => {
    done = true;
  });
  while (!done) {
    await nextTask();
    turns++;
  }
  await settled;
  return turns;
}

test("compiling lets other tasks run in between", async () => {
  using weights = stores();
  const compiling = session.compile(chain(3000), { weights });
  expect(await turnsDuring(compiling)).toBeGreaterThan(5);
  (await compiling)[Symbol.dispose]();
});

test("an aborted compile rejects with the reason and leaves nothing behind", async () => {
  let released = 0;
  const weights = new WeightStore(
    { a: Tensor.zeros("q8_0", [16, 32]), b: Tensor.zeros("q8_0", [16, 32]) },
    { onRelease: () => released++ },
  );
  const abort = new AbortController();
  const compiling = session.compile(chain(3000), { weights, signal: abort.signal });
  await nextTask();
  abort.abort(new Error("enough"));
  await expect(compiling).rejects.toThrow("enough");
  weights[Symbol.dispose]();
  expect(released).toBe(1);
});

test("weights that are disposed during a compile live as long as the graph; a session that is disposed ends it", async () => {
  const weights = stores();
  const compiling = session.compile(chain(1000), { weights });
  weights[Symbol.dispose]();
  using compiled = await compiling;
  expect((await compiled.run({ inputs: { x: new Float32Array(32) } })).b.toArray()).toEqual(new Array(16).fill(0));
  const other = await Session.open({ device: "cpu" });
  const late = other.compile(chain(1000), { weights: stores() });
  other[Symbol.dispose]();
  await expect(late).rejects.toThrow(UseAfterDisposeError);
});

test("the compiler says what it did", async () => {
  using weights = stores();
  using compiled = await session.compile(chain(2), { weights });
  expect(
    compiled.passStats.map(({ name, applied }) => [name, applied]).filter(([, applied]) => Object.keys(applied as object).length > 0),
  ).toEqual([["merge-shared", { "merge shared input": 1 }]]);
  expect(compiled.fusionMisses).toEqual([]);
  expect(compiled.dispatchReport.counts).toMatchObject({ prepared: 1, reference: 0, decomposed: 0 });
  expect(printProgram(compiled.program)).toContain("weight expression of 3 nodes q8_0[32, 32] 1088 bytes as rows16");
});

test("graphs that are compiled at the same time share what is made of their weights", async () => {
  using weights = stores();
  const both = await Promise.all([session.compile(chain(1), { weights }), session.compile(chain(2), { weights })]);
  expect(weights.derivedBytes).toBe(32 * 34);
  for (const compiled of both) compiled[Symbol.dispose]();
  const first = weights.keep("key", new Uint8Array(1));
  expect(weights.keep("key", new Uint8Array(1))).toBe(first);
});

test("work in slices: device tasks are awaited, and what work holds is freed when it is aborted or fails", async () => {
  const log: string[] = [];
  function* work(fail: boolean): Work<number> {
    using _ = { [Symbol.dispose]: () => log.push("freed") };
    yield { run: async () => void log.push("awaited"), runSync: () => log.push("waited") };
    if (fail) throw new Error("failed");
    for (;;) yield;
  }
  await expect(runInSlices(work(true))).rejects.toThrow("failed");
  await expect(runInSlices(work(false), AbortSignal.timeout(20))).rejects.toThrow("timeout");
  expect(log).toEqual(["awaited", "freed", "awaited", "freed"]);
});
