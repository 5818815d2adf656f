import { define, dim, hirBuilder, Tensor } from "@rlxjs/ir";
import {
  BucketedCompileCache,
  type BucketRange,
  BucketError,
  linearLadder,
  powerOfTwoLadder,
  RowsError,
  Session,
  WeightNameError,
  WeightStore,
} from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const range = (start: number, end: number): BucketRange => ({ start, end });
const relu = (upper: number) => define(`relu ${upper}`, (g) => ({ y: g.relu(g.input("x", "f32", [upper])) }));
const TEN = new Float32Array([1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  afterAll(() => session[Symbol.dispose]());

  /** Asks for keys in turn; which uppers they have, and which were built. */
  async function ask(cache: BucketedCompileCache, keys: readonly number[]) {
    const built: number[] = [];
    const uppers: (number | undefined)[] = [];
    for (const key of keys) {
      using lease = await cache.getOrCompile(key, (upper) => {
        built.push(upper);
        return relu(upper);
      });
      if (lease) expect(lease.compiled.inputs.get("x")?.shape).toEqual([lease.upper]);
      uppers.push(lease?.upper);
    }
    return { built, uppers };
  }

  test("a bucket is compiled once, when a key of it is first asked for", async () => {
    using cache = new BucketedCompileCache(session, [range(1, 4), range(4, 16)]);
    expect(await ask(cache, [2, 3, 4, 100, 15])).toEqual({ built: [3, 15], uppers: [3, 3, 15, undefined, 15] });
    expect(cache.stats()).toMatchObject({ hits: 2, misses: 2, evictions: 0, entries: 2 });
    expect([cache.bucketFor(0), cache.bucketFor(3), cache.bucketFor(4), cache.bucketFor(16)]).toEqual([undefined, 0, 1, undefined]);
    expect([cache.bucketUpper(0), cache.bucketUpper(1), cache.totalBuckets]).toEqual([3, 15, 2]);
  });

  test("buckets of a ladder are compiled in the order of their use", async () => {
    using cache = new BucketedCompileCache(session, powerOfTwoLadder(8, 64));
    expect(await ask(cache, [17, 9, 3, 64])).toEqual({ built: [32, 16, 8, 64], uppers: [32, 16, 8, 64] });
    expect(cache.compiledCount).toBe(4);
    using lazy = new BucketedCompileCache(session, powerOfTwoLadder(8, 32));
    expect(await ask(lazy, [0, 1, 32, 33])).toEqual({ built: [8, 32], uppers: [undefined, 8, 32, undefined] });
    expect([lazy.compiledCount, lazy.totalBuckets]).toEqual([2, 3]);
    using linear = new BucketedCompileCache(session, linearLadder(1024));
    expect(await ask(linear, [200, 513])).toEqual({ built: [224, 640], uppers: [224, 640] });
  });

  test("lists of ranges and keys that make no sense are refused", async () => {
    const make = (...buckets: BucketRange[]) => new BucketedCompileCache(session, buckets);
    expect(() => make()).toThrowErrorMatchingInlineSnapshot(`[BucketError: buckets: expected at least one range, got none]`);
    expect(() => make(range(1, 4), range(3, 8))).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: bucket [3, 8): expected no overlap, got [1, 4) beside it]`,
    );
    expect(() => make(range(4, 4))).toThrowErrorMatchingInlineSnapshot(
      `[BucketError: bucket [4, 4): expected whole numbers 0 <= start < end]`,
    );
    for (const bad of [range(4, 3), range(-1, 3), range(0.5, 2), range(1, Number.POSITIVE_INFINITY)])
      expect(() => make(bad)).toThrow(BucketError);
    using unsorted = make(range(8, 16), range(1, 4));
    expect([unsorted.bucketFor(1), unsorted.bucketFor(5)]).toEqual([1, undefined]);
    expect(() => unsorted.bucketUpper(2)).toThrowErrorMatchingInlineSnapshot(`[BucketError: bucket 2: expected an index from 0 to 1]`);
    await expect(ask(unsorted, [1.5])).rejects.toThrow(BucketError);
  });

  test("padded runs give the rows that an exact graph gives", async () => {
    using cache = new BucketedCompileCache(session, [range(1, 16)]);
    let builds = 0;
    const run = async (key: number, data: Float32Array<ArrayBuffer>, inners: readonly number[]) => {
      const build = (upper: number) => {
        builds++;
        return relu(upper);
      };
      return (await cache.runPadded(key, data.length, build, [{ name: "x", data, inner: 1 }], inners))?.y;
    };
    expect(await run(10, TEN, [1])).toEqual(Tensor.from("f32", [10], [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]));
    expect((await run(5, TEN.subarray(0, 5), [1]))?.toArray()).toEqual([1, 0, 2, 0, 3]);
    const whole = [1, 0, 2, 0, 3, ...new Array<number>(10).fill(0)];
    expect((await run(5, TEN.subarray(0, 5), [0]))?.toArray()).toEqual(whole);
    expect((await run(5, TEN.subarray(0, 5), []))?.toArray()).toEqual(whole);
    expect(builds).toBe(1);
    expect(await run(16, TEN, [1])).toBeUndefined();
    expect(builds).toBe(1);
  });

  test("a graph with a symbolic extent runs on the actual rows alone, with the same results", async () => {
    const symbolic = (upper: number) => {
      const rows = dim("rows", { min: 0, max: upper });
      return define("symbolic", (g) => {
        const x = g.relu(g.input("x", "f32", [rows, 2]));
        return { y: x, sum: g.reduceSum(x, { axes: [0] }), index: g.iota({ shape: [rows] }) };
      });
    };
    using cache = new BucketedCompileCache(session, [range(1, 16)]);
    const y = await cache.runPadded(5, 5, symbolic, [{ name: "x", data: TEN, inner: 2 }], [2, 0, 1]);
    expect(y?.y).toEqual(Tensor.from("f32", [5, 2], [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]));
    expect([y?.sum.toArray(), y?.index.toArray()]).toEqual([
      [15, 0],
      [0, 1, 2, 3, 4],
    ]);
  });

  test("mixed runs pad the inputs that are rows, and leave the others", async () => {
    const build = (upper: number) =>
      define("mixed", (g) => {
        const x = g.input("x", "f16", [1, upper, 2]);
        const scale = g.input("scale", "f16", [2]);
        return { y: g.add(g.mul(x, scale), g.cast(g.input("shift", "f32", []), { dtype: "f16" })), scale };
      });
    using cache = new BucketedCompileCache(session, [range(1, 5)]);
    const inputs = [
      { name: "x", data: Tensor.from("f16", [4], [1, 2, 3, 4]).data, rowInner: 2 },
      { name: "scale", data: Tensor.from("f16", [2], [10, 100]) },
      { name: "shift", data: 1 },
    ];
    const out = await cache.runPaddedMixed(2, 2, build, inputs, [2]);
    expect([out?.y, out?.scale]).toEqual([Tensor.from("f16", [1, 2, 2], [11, 201, 31, 401]), Tensor.from("f16", [2], [10, 100])]);
  });

  test("rows that do not fit are refused before anything runs", async () => {
    using cache = new BucketedCompileCache(session, [range(1, 4)]);
    const run = (actual: number, inner: number, inners: readonly number[]) =>
      cache.runPadded(2, actual, relu, [{ name: "x", data: new Float32Array(2), inner }], inners);
    await expect(run(4, 1, [1])).rejects.toThrowErrorMatchingInlineSnapshot(`[RowsError: graph "relu 3": expected 0 to 3 rows, got 4]`);
    await expect(run(1, 1, [1])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RowsError: graph "relu 3": input "x": expected 1 rows of 1 elements, got 2]`,
    );
    await expect(run(2, 1, [2])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RowsError: graph "relu 3": output "y": expected rows of 2 elements, got 3 elements]`,
    );
    await expect(run(2, 1, [1, 1])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RowsError: graph "relu 3": outputInners: expected at most 1 (one per output), got 2]`,
    );
    await expect(run(2, 1, [3])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RowsError: graph "relu 3": output "y": expected 3 rows of 3 elements, got 1]`,
    );
    for (const bad of [run(2, 1, [-1]), run(2, 0, [1]), run(1.5, 1, [1]), run(-1, 1, [1])]) await expect(bad).rejects.toThrow(RowsError);
    using lease = await cache.getOrCompile(2, relu);
    expect(lease?.compiled.stats().runs).toBe(0);
    expect((await run(2, 1, [1]))?.y.shape).toEqual([2]);
  });

  test("requests for several buckets at once compile each once; those for one bucket run by turns", async () => {
    using cache = new BucketedCompileCache(session, [range(1, 5), range(5, 9)]);
    const built: number[] = [];
    const build = async (upper: number) => {
      built.push(upper);
      return relu(upper);
    };
    const run = (rows: number) => cache.runPadded(rows, rows, build, [{ name: "x", data: TEN.subarray(0, rows), inner: 1 }], [1]);
    const results = await Promise.all([run(2), run(6), run(3), run(4), run(1)]);
    expect(built.sort()).toEqual([4, 8]);
    expect(results.map((outputs) => outputs?.y.shape)).toEqual([[2], [6], [3], [4], [1]]);
    expect(results[2]?.y.toArray()).toEqual([1, 0, 2]);
  });

  test("params go to the device when a bucket is compiled, and equal ones are shared by all buckets", async () => {
    using cache = new BucketedCompileCache(session, powerOfTwoLadder(2, 8));
    const built: number[] = [];
    const build = (upper: number) => {
      built.push(upper);
      return {
        graph: define("scaled", (g) => ({
          y: g.add(g.mul(g.input("x", "f32", [2]), g.neg(g.param("w", "f32", [2]))), g.param("upper", "f32", [1])),
        })),
        params: { w: Tensor.from("f32", [2], [2, 3]), upper: Tensor.from("f32", [1], [upper]) },
      };
    };
    const run = async (key: number) => {
      using lease = await cache.ensureGraphWithParams(key, build);
      const { y } = (await lease?.compiled.run({ inputs: { x: new Float32Array([1, 1]) } })) ?? {};
      return [y?.toArray(), lease?.compiled.stats().compiles, lease?.compiled.residentBytes];
    };
    const [first, second] = [await run(1), await run(4)];
    expect([first.slice(0, 2), second.slice(0, 2)]).toEqual([
      [[0, -1], 1],
      [[2, 1], 1],
    ]);
    // The second bucket has an `upper` of its own, and the negated `w` of the first.
    expect(Number(second[2]) - Number(first[2])).toBe(4);
    expect(await run(2)).toEqual(first);
    expect(built).toEqual([2, 4]);
    expect(await cache.ensureGraphWithParams(9, build)).toBeUndefined();
  });

  test("modules take the types of their params, and the weights of a store", async () => {
    const module = (upper: number) => {
      const h = hirBuilder("model");
      return h.output("y", h.linear(h.input("x", "f32", [upper, 2]), { weight: "w" })).build();
    };
    const w = Tensor.from("f32", [1, 2], [10, 1]);
    const x = { name: "x", data: new Float32Array([1, 2, 3, 4]), inner: 2 };
    using owned = new BucketedCompileCache(session, powerOfTwoLadder(2, 8));
    for (const key of [2, 4, 3]) {
      using lease = await owned.ensureHirWithParams(key, (upper) => ({ hir: module(upper), params: { w } }));
      const { y } = (await lease?.compiled.run({ inputs: { x: new Float32Array(2 * (lease?.upper ?? 0)).fill(1) } })) ?? {};
      expect(y?.toArray()).toEqual(new Array(lease?.upper).fill(11));
    }
    expect(owned.stats()).toMatchObject({ hits: 1, misses: 2 });

    let released = 0;
    const weights = new WeightStore({ w }, { onRelease: () => released++ });
    const given = new BucketedCompileCache(session, powerOfTwoLadder(2, 8), { weights });
    weights[Symbol.dispose]();
    expect((await given.runPadded(2, 2, module, [x], [1]))?.y).toEqual(Tensor.from("f32", [2, 1], [12, 34]));
    expect((await given.runPadded(3, 2, module, [x], [1]))?.y).toEqual(Tensor.from("f32", [2, 1], [12, 34]));
    expect(released).toBe(0);
    given[Symbol.dispose]();
    expect(released).toBe(1);
  });

  test("params that the graph does not have are refused, and the bucket can be built again", async () => {
    using cache = new BucketedCompileCache(session, [range(1, 4)]);
    const build = (upper: number) => ({ graph: relu(upper), params: { w: Tensor.zeros("f32", [1]) } });
    await expect(cache.ensureGraphWithParams(1, build)).rejects.toThrow(WeightNameError);
    await expect(cache.ensureGraphWithParams(1, build)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WeightNameError: graph "relu 3": weight "w": expected one of none]`,
    );
    expect(cache.compiledCount).toBe(0);
    using lease = await cache.getOrCompile(1, relu);
    expect(lease?.upper).toBe(3);
  });

  test("the bucket that was not used for longest is freed, and compiled again when it is asked for", async () => {
    using probe = new BucketedCompileCache(session, [range(1, 4)]);
    await ask(probe, [1]);
    using cache = new BucketedCompileCache(session, [range(1, 2), range(2, 3), range(3, 4)], { maxBytes: 2 * probe.stats().bytes });
    expect((await ask(cache, [1, 2, 1, 3, 1, 2])).built).toEqual([1, 2, 3, 2]);
    expect(cache.stats()).toMatchObject({ evictions: 2, entries: 2 });
  });
});
