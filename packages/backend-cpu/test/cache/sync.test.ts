import { define, dim, hirBuilder, Tensor } from "@rlxjs/ir";
import { BucketedCompileCache, BusyError, CompileCache, powerOfTwoLadder, RowsError, Session, UseAfterDisposeError } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const relu = (upper: number) => define(`relu ${upper}`, (g) => ({ y: g.relu(g.input("x", "f32", [upper])) }));
const rows = (...values: number[]) => [{ name: "x", data: Float32Array.from(values), inner: 1 }];

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  afterAll(() => session[Symbol.dispose]());

  test("a compile cache answers at once, by recipe and by graph, and shares entries with requests that wait", async () => {
    using cache = new CompileCache(session);
    let builds = 0;
    const build = () => {
      builds++;
      return relu(2);
    };
    using a = cache.getOrCompileSync("relu", build);
    using b = await cache.getOrCompile("relu", build);
    expect([a.compiled === b.compiled, builds]).toEqual([true, 1]);
    using c = cache.compileSync(relu(3));
    using d = await cache.compile(relu(3));
    const module = hirBuilder("m");
    using e = cache.compileSync(module.output("y", module.input("x", "f32", [5])).build());
    expect([c.compiled === d.compiled, e.compiled.runSync({ inputs: { x: new Float32Array(5).fill(-1) } }).y?.size]).toEqual([true, 5]);
    expect(cache.stats()).toMatchObject({ hits: 2, misses: 3, entries: 3 });
  });

  test("an entry that is being compiled is busy; a build that fails is not kept", async () => {
    using cache = new CompileCache(session);
    const waiting = cache.getOrCompile("relu", () => relu(2));
    expect(() => cache.getOrCompileSync("relu", () => relu(2))).toThrow(BusyError);
    (await waiting)[Symbol.dispose]();
    cache.getOrCompileSync("relu", () => expect.fail("it is there"))[Symbol.dispose]();
    const fail = (): never => {
      throw new RangeError("no");
    };
    expect(() => cache.getOrCompileSync("other", fail)).toThrow(RangeError);
    expect(cache.has("other")).toBe(false);
    cache[Symbol.dispose]();
    expect(() => cache.getOrCompileSync("relu", () => relu(2))).toThrow(UseAfterDisposeError);
  });

  test("a refused request is no hit; a cache that the build disposes keeps nothing", async () => {
    const cache = new CompileCache(session);
    const waiting = cache.getOrCompile("relu", () => relu(2));
    expect(() => cache.getOrCompileSync("relu", () => relu(2))).toThrow(BusyError);
    (await waiting)[Symbol.dispose]();
    expect(cache.stats()).toMatchObject({ hits: 0, misses: 1 });
    const build = () => {
      cache[Symbol.dispose]();
      return relu(3);
    };
    expect(() => cache.getOrCompileSync("other", build)).toThrow(UseAfterDisposeError);
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });

  test("any name is one of an input, an output and a param, and each bucket has its own params", () => {
    using cache = new BucketedCompileCache(session, powerOfTwoLadder(2, 4));
    const build = (upper: number) => ({
      graph: define("names", (g) => ({ ["__proto__"]: g.mul(g.input("__proto__", "f32", [upper]), g.param("__proto__", "f32", [1])) })),
      params: { ["__proto__"]: Tensor.from("f32", [1], [upper]) },
    });
    for (const upper of [2, 4]) {
      using lease = cache.ensureGraphWithParamsSync(upper, build);
      const run = cache.runPaddedSync(
        upper,
        1,
        () => build(upper).graph,
        [{ name: "__proto__", data: Float32Array.of(10), inner: 1 }],
        [1],
      );
      expect(run && Object.entries(run)).toEqual([["__proto__", Tensor.from("f32", [1], [10 * upper])]]);
      expect(lease?.upper).toBe(upper);
    }
  });

  test("buckets compile at once, and free the least recently used one", () => {
    using probe = session.compileSync(relu(8));
    using cache = new BucketedCompileCache(session, powerOfTwoLadder(8, 32), { maxBytes: probe.residentBytes });
    const uppers = [3, 9, 33, 4].map((key) => {
      using lease = cache.getOrCompileSync(key, relu);
      return lease?.upper;
    });
    expect(uppers).toEqual([8, 16, undefined, 8]);
    expect(cache.stats()).toMatchObject({ hits: 0, misses: 3, evictions: 2, entries: 1 });
  });

  test("params go to the device when a bucket is compiled, of graphs and of modules", () => {
    using cache = new BucketedCompileCache(session, powerOfTwoLadder(2, 4));
    const params = { w: Tensor.from("f32", [2, 2], [1, 2, 3, 4]) };
    const graph = (upper: number) => ({
      graph: define("g", (g) => ({ y: g.linear(g.input("x", "f32", [upper, 2]), g.param("w", "f32", [2, 2])) })),
      params,
    });
    const hir = (upper: number) => {
      const h = hirBuilder("h");
      return { hir: h.output("y", h.linear(h.input("x", "f32", [upper, 2]), { weight: "w" })).build(), params };
    };
    using two = cache.ensureGraphWithParamsSync(2, graph);
    using four = cache.ensureHirWithParamsSync(4, hir);
    expect(two?.compiled.runSync({ inputs: { x: new Float32Array([1, 0, 0, 1]) } }).y?.toArray()).toEqual([1, 3, 2, 4]);
    expect(four?.compiled.runSync({ inputs: { x: new Float32Array(8).fill(1) } }).y?.toArray()).toEqual([3, 7, 3, 7, 3, 7, 3, 7]);
    expect(cache.ensureGraphWithParamsSync(5, graph)).toBeUndefined();
    const extra = (upper: number) => ({ ...graph(upper), params: { ...params, v: params.w } });
    using other = new BucketedCompileCache(session, powerOfTwoLadder(2, 4));
    expect(() => other.ensureGraphWithParamsSync(1, extra)).toThrow('weight "v"');
  });

  test("padded runs give the rows, and run on a given state", async () => {
    using cache = new BucketedCompileCache(session, [{ start: 1, end: 16 }]);
    expect(cache.runPaddedSync(3, 3, relu, rows(1, -1, 2), [1])?.y.toArray()).toEqual([1, 0, 2]);
    expect(cache.runPaddedSync(3, 3, relu, rows(1, -1, 2), [0])?.y.size).toBe(15);
    expect(cache.runPaddedSync(16, 3, relu, rows(1, -1, 2), [1])).toBeUndefined();
    expect(() => cache.runPaddedSync(3, 3, relu, rows(1, -1), [1])).toThrow(RowsError);
    const waiting = cache.runPadded(2, 2, relu, rows(-1, 5), [1]);
    expect((await waiting)?.y.toArray()).toEqual([0, 5]);
    expect(cache.stats()).toMatchObject({ misses: 1 });
    const n = dim("n", { min: 1, max: 15 });
    const kept = () => define("kept", (g) => ({ s: g.stateWrite(g.state("s", "f32", [n]), g.relu(g.input("x", "f32", [n]))) }));
    using states = new BucketedCompileCache(session, [{ start: 1, end: 16 }]);
    using lease = states.getOrCompileSync(1, kept);
    if (!lease) return expect.fail("key 1 is in the bucket");
    using state = session.createState(lease.compiled);
    states.runPaddedSync(4, 4, kept, rows(1, 2, 3, 4), [1], { state });
    expect(
      states.runPaddedMixedSync(2, 2, kept, [{ name: "x", data: Float32Array.of(-1, 9), rowInner: 1 }], [1], { state })?.s.toArray(),
    ).toEqual([0, 9]);
    expect(state.read("s", [5]).toArray(), "rows beyond the actual ones stay").toEqual([0, 9, 3, 4, 0]);
  });
});
