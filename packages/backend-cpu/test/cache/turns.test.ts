import { define, dim, type Graph, Tensor } from "@rlxjs/ir";
import { BucketedCompileCache, BusyError, CompileCache, Session, singleBucket, UseAfterDisposeError } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

/** Writes rows into a state and adds up all of it: what a run gives says which ran before. */
const journal = (upper: number): Graph<"total"> => {
  const rows = dim("rows", { min: 1, max: upper });
  return define("journal", (g) => {
    const log = g.state("log", "f32", [1, 8, 1]);
    const x = g.reshape(g.input("x", "f32", [rows]), { shape: [1, rows, 1] });
    return { total: g.reduceSum(g.kvWrite(log, x, g.input("pos", "i32", []), { headDim: 1 }), { axes: [0, 1, 2] }) };
  });
};

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  afterAll(() => session[Symbol.dispose]());

  test("padded runs on one state set come one after the other, in the order of the calls", async () => {
    using cache = new BucketedCompileCache(session, singleBucket(4));
    using lease = await cache.getOrCompile(1, journal);
    if (!lease) return expect.fail("key 1 is in the bucket");
    using state = session.createState(lease.compiled);
    const write = (pos: number, ...values: number[]) =>
      cache.runPaddedMixed(
        values.length,
        values.length,
        journal,
        [
          { name: "x", data: Float32Array.from(values), rowInner: 1 },
          { name: "pos", data: pos },
        ],
        [],
        { state },
      );
    const totals = await Promise.all([write(0, 1, 2), write(2, 10), write(1, 5, 6, 7), write(0, 0)]);
    expect(totals.map((outputs) => outputs?.total.toArray())).toEqual([[3], [13], [19], [18]]);
    expect(state.read("log").toArray()).toEqual([0, 5, 6, 7, 0, 0, 0, 0]);
    expect(lease.compiled.stats().runs).toBe(4);
  });

  test("a run through a lease waits; one on the graph itself is refused", async () => {
    using cache = new CompileCache(session);
    const build = () => define("double", (g) => ({ y: g.mul(g.input("x", "f32", [1]), 2) }));
    const use = async (value: number) => {
      using lease = await cache.getOrCompile("double", build);
      return (await lease.run({ inputs: { x: Float32Array.of(value) } })).y.get(0);
    };
    expect(await Promise.all([1, 2, 3, 4].map(use))).toEqual([2, 4, 6, 8]);
    using lease = await cache.getOrCompile("double", build);
    const inputs = { x: new Float32Array(1) };
    const run = lease.compiled.run({ inputs });
    await expect(lease.compiled.run({ inputs })).rejects.toThrow(BusyError);
    await run;
  });

  test("a run whose lease has ended by its turn is refused, whether the graph is still there or not", async () => {
    using cache = new CompileCache(session);
    const get = () => cache.getOrCompile("double", () => define("double", (g) => ({ y: g.mul(g.input("x", "f32", [1]), 2) })));
    using first = await get();
    const ended = await get();
    const inputs = { x: new Float32Array(1) };
    const running = first.run({ inputs });
    const waiting = ended.run({ inputs });
    ended[Symbol.dispose]();
    await expect(waiting).rejects.toThrow(UseAfterDisposeError);
    expect((await running).y.toArray()).toEqual([0]);
    await expect(ended.run({ inputs })).rejects.toThrow(UseAfterDisposeError);
  });

  test("a run that is aborted while it waits rejects at once, and those behind it run; a failed one is no hindrance", async () => {
    using cache = new CompileCache(session);
    using lease = await cache.getOrCompile("slow", () =>
      define("slow", (g) => {
        let x = g.input("x", "f32", [64, 64]);
        for (let i = 0; i < 50; i++) x = g.softmax(g.matmul(x, x));
        return { y: x };
      }),
    );
    const inputs = { x: new Float32Array(64 * 64) };
    const stop = new AbortController();
    const ended: string[] = [];
    const first = lease.run({ inputs }).then(() => ended.push("first"));
    const waiting = lease.run({ inputs, signal: stop.signal }).catch((reason: unknown) => ended.push(String(reason)));
    const wrong = lease.run({ inputs: { x: Tensor.zeros("f32", [1, 1]) } }).catch(() => ended.push("wrong"));
    const last = lease.run({ inputs }).then(() => ended.push("last"));
    stop.abort("enough");
    await Promise.all([first, waiting, wrong, last]);
    expect(ended).toEqual(["enough", "first", "wrong", "last"]);
    expect(lease.compiled.stats().runs).toBe(2);
  });
});
