import { define, type Graph, hirBuilder, Tensor } from "@rlxjs/ir";
import {
  CacheError,
  CompileCache,
  compileKey,
  keyText,
  nextTask,
  onLeak,
  Session,
  UseAfterDisposeError,
  WeightStore,
} from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import { exposeGc } from "../gc.ts";
import "@rlxjs/backend-cpu";

/** Adds `n`: a graph of its own for each number, all of one size. */
const plus = (n: number, name = "plus"): Graph<"y"> => define(name, (g) => ({ y: g.add(g.input("x", "f32", [2]), n) }));
const x = new Float32Array([1, 2]);

describe.each(["reference", "native"] as const)("%s kernels", async (kernels) => {
  const session = await Session.open({ device: "cpu", kernels });
  afterAll(() => session[Symbol.dispose]());
  using probe = await session.compile(plus(0));
  const bytes = probe.residentBytes;

  test("two requests for one recipe build and compile once", async () => {
    using cache = new CompileCache(session);
    let builds = 0;
    const build = () => {
      builds++;
      return plus(1);
    };
    using first = await cache.getOrCompile("plus 1", build);
    using second = await cache.getOrCompile("plus 1", build);
    expect(second.compiled).toBe(first.compiled);
    expect((await second.compiled.run({ inputs: { x } })).y.toArray()).toEqual([2, 3]);
    expect(builds).toBe(1);
    expect(cache.stats()).toEqual({ hits: 1, misses: 1, evictions: 0, entries: 1, bytes });
    expect([cache.has("plus 1"), cache.has("plus 2")]).toEqual([true, false]);
  });

  test("of three graphs in a cache for two, the least recently used one is freed", async () => {
    using cache = new CompileCache(session, { maxBytes: 2 * bytes });
    const built: number[] = [];
    for (const n of [1, 2, 1, 3, 1, 2]) {
      using lease = await cache.getOrCompile(`${n}`, () => {
        built.push(n);
        return plus(n);
      });
      expect((await lease.compiled.run({ inputs: { x } })).y.toArray()).toEqual([1 + n, 2 + n]);
    }
    // First in, first out would have freed 1 for 3.
    expect(built).toEqual([1, 2, 3, 2]);
    expect(cache.stats()).toEqual({ hits: 2, misses: 4, evictions: 2, entries: 2, bytes: 2 * bytes });
  });

  test("params survive hits", async () => {
    using cache = new CompileCache(session);
    const graph = define("param", (g) => ({ y: g.mul(g.input("x", "f32", [2]), g.param("w", "f32", [2])) }));
    {
      using lease = await cache.compile(graph);
      lease.compiled.setParam("w", Tensor.from("f32", [2], [3, 4]));
    }
    using lease = await cache.compile(graph);
    expect((await lease.compiled.run({ inputs: { x } })).y.toArray()).toEqual([3, 8]);
  });

  test("graphs are told apart by what they compute, their options and their weights, not by name", async () => {
    using cache = new CompileCache(session);
    using a = new WeightStore({ w: Tensor.from("f32", [2], [1, 1]) });
    using b = new WeightStore({ w: Tensor.from("f32", [2], [2, 2]) });
    const graph = (name: string) => define(name, (g) => ({ y: g.mul(g.input("x", "f32", [2]), g.param("w", "f32", [2])) }));
    const h = hirBuilder("hir");
    const hir = h.output("y", h.ops.mul(h.input("x", "f32", [2]), h.param("w"))).build();
    using one = await cache.compile(graph("one"), { weights: a });
    using two = await cache.compile(graph("two"), { weights: a, passes: { fuse: true } });
    using lowered = await cache.compile(hir, { weights: a });
    expect([two.compiled, lowered.compiled]).toEqual([one.compiled, one.compiled]);
    using other = await cache.compile(graph("one"), { weights: b });
    using unfused = await cache.compile(graph("one"), { weights: a, passes: { fuse: false } });
    expect(new Set([one.compiled, other.compiled, unfused.compiled]).size).toBe(3);
    expect((await other.compiled.run({ inputs: { x } })).y.toArray()).toEqual([2, 4]);
    expect(cache.has(graph("any"), { weights: b })).toBe(true);
    expect(cache.has(graph("any"))).toBe(false);

    const key = compileKey(plus(1), session.info);
    expect(key).toMatchObject({ device: "cpu", kernelLibrary: session.info.kernelLibrary, weights: 0, passes: { fuse: true } });
    expect(key.graph).toMatch(/^sha256:[0-9a-f]{64}$/);
    const texts = [
      key,
      compileKey(plus(2), session.info),
      compileKey(plus(1), { ...session.info, kernelLibrary: "another" }),
      compileKey(plus(1), { ...session.info, device: "metal" }),
      compileKey(plus(1), session.info, { passes: { maxRegionSteps: 8 } }),
      compileKey(key.graph, session.info),
    ].map(keyText);
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("a graph with large constants is hashed in slices", async () => {
    using cache = new CompileCache(session);
    const graph = define("big", (g) => ({ y: g.add(g.input("x", "f32", [1]), g.constant(Tensor.zeros("f32", [2 ** 22]))) }));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const started = performance.now();
    using lease = await cache.compile(graph);
    clearInterval(timer);
    expect(turns).toBeGreaterThan((performance.now() - started) / 50);
    expect(cache.has(graph)).toBe(true);
    expect(lease.compiled.name).toBe("big");
  });

  test("requests during a compile share it", async () => {
    using cache = new CompileCache(session, { maxBytes: 0 });
    let builds = 0;
    const build = async () => {
      builds++;
      await nextTask();
      return plus(1);
    };
    const leases = await Promise.all(Array.from({ length: 5 }, () => cache.getOrCompile("plus 1", build)));
    expect(builds).toBe(1);
    expect(new Set(leases.map((l) => l.compiled)).size).toBe(1);
    expect(cache.stats()).toMatchObject({ hits: 4, misses: 1 });
    for (const lease of leases) lease[Symbol.dispose]();
  });

  test("a failed build reaches everyone who waits, and is not kept", async () => {
    using cache = new CompileCache(session);
    const broken = () => Promise.reject(new Error("no such layer"));
    const all = await Promise.allSettled([cache.getOrCompile("m", broken), cache.getOrCompile("m", broken)]);
    expect(all.map((r) => r.status === "rejected" && String(r.reason))).toEqual(["Error: no such layer", "Error: no such layer"]);
    expect(cache.has("m")).toBe(false);
    using lease = await cache.getOrCompile("m", () => plus(1));
    expect(lease.compiled.name).toBe("plus");
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 2 });
  });

  test("an aborted request leaves the compile to the others; without others it stops", async () => {
    using cache = new CompileCache(session);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let builds = 0;
    const build = async () => {
      builds++;
      await gate;
      return plus(1);
    };
    const [one, two] = [new AbortController(), new AbortController()];
    const first = cache.getOrCompile("a", build, { signal: one.signal });
    const second = cache.getOrCompile("a", build);
    const alone = cache.getOrCompile("b", build, { signal: two.signal });
    await nextTask();
    one.abort("enough");
    two.abort("enough");
    await expect(first).rejects.toBe("enough");
    await expect(alone).rejects.toBe("enough");
    expect([cache.has("a"), cache.has("b")]).toEqual([true, false]);
    const again = cache.getOrCompile("b", build);
    open();
    using a = await second;
    using b = await again;
    expect(await Promise.all([a, b].map((l) => l.compiled.run({ inputs: { x } }).then(({ y }) => y.toArray())))).toEqual([
      [2, 3],
      [2, 3],
    ]);
    expect(builds).toBe(3);
    expect(cache.stats()).toMatchObject({ entries: 2, misses: 3 });
    await expect(cache.getOrCompile("a", build, { signal: AbortSignal.abort("no more") })).rejects.toBe("no more");
  });

  test("what is in use is not freed, nor what was used last", async () => {
    using cache = new CompileCache(session, { maxBytes: bytes });
    const get = (n: number) => cache.compile(plus(n));
    using first = await get(1);
    {
      using second = await get(2);
      using again = await get(1);
      expect(cache.stats()).toMatchObject({ entries: 2, evictions: 0, bytes: 2 * bytes });
      for (const lease of [first, second, again]) expect((await lease.compiled.run({ inputs: { x } })).y.shape).toEqual([2]);
    }
    // The end of the second lease made room.
    expect([cache.has(plus(1)), cache.has(plus(2))]).toEqual([true, false]);
    expect(cache.stats()).toMatchObject({ entries: 1, evictions: 1 });

    using tiny = new CompileCache(session, { maxBytes: 0 });
    for (let i = 0; i < 3; i++) (await tiny.compile(plus(1)))[Symbol.dispose]();
    expect(tiny.stats()).toMatchObject({ misses: 1, entries: 1, evictions: 0 });
    (await tiny.compile(plus(2)))[Symbol.dispose]();
    expect(tiny.stats()).toMatchObject({ misses: 2, entries: 1, evictions: 1 });
  });

  test("bytes are those that end with a graph: arena, constants, params and states of its own", async () => {
    const graph = define("sized", (g) => {
      const s = g.state("s", "f32", [1000]);
      return { y: g.stateWrite(s, g.mul(g.add(s, g.constant(Tensor.zeros("f32", [1000]))), g.param("w", "f32", [1000]))) };
    });
    const w = Tensor.zeros("f32", [1000]);
    using weights = new WeightStore({ w });
    using shared = await session.compile(graph, { weights });
    using own = await session.compile(graph, { overrides: { w } });
    expect(own.residentBytes - shared.residentBytes).toBe(4000);
    const { arenaBytes, weightBytes } = shared.memoryReport;
    expect(shared.residentBytes).toBe(arenaBytes + weightBytes - 4000 + 1024 * shared.program.steps.length);
    const before = shared.residentBytes;
    await shared.run();
    expect(shared.residentBytes - before).toBe(4000);
    shared.setParam("w", w);
    expect(shared.residentBytes - before).toBe(8000);
  });

  test("a disposed cache frees graphs when their last lease ends, and stops compiles", async () => {
    const cache = new CompileCache(session);
    const idle = await cache.compile(plus(1));
    const idleGraph = idle.compiled;
    idle[Symbol.dispose]();
    idle[Symbol.dispose]();
    const used = await cache.compile(plus(2));
    const usedGraph = used.compiled;
    const pending = cache.getOrCompile("slow", async () => {
      await nextTask();
      return plus(3);
    });
    cache[Symbol.dispose]();
    cache[Symbol.dispose]();
    await expect(pending).rejects.toThrow(UseAfterDisposeError);
    await expect(cache.compile(plus(1))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[UseAfterDisposeError: a CompileCache is used after it was disposed]`,
    );
    await expect(idleGraph.run({ inputs: { x } })).rejects.toThrow(UseAfterDisposeError);
    expect((await usedGraph.run({ inputs: { x } })).y.toArray()).toEqual([3, 4]);
    used[Symbol.dispose]();
    await expect(usedGraph.run({ inputs: { x } })).rejects.toThrow(UseAfterDisposeError);
    expect(() => used.compiled).toThrowErrorMatchingInlineSnapshot(
      `[UseAfterDisposeError: a lease of CompiledGraph "plus" is used after it was disposed]`,
    );
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });

  test("limits that make no sense are refused", () => {
    for (const maxBytes of [-1, Number.NaN]) expect(() => new CompileCache(session, { maxBytes })).toThrow(CacheError);
    expect(() => new CompileCache(session, { maxBytes: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[CacheError: CompileCache: maxBytes: expected a number >= 0, got -1]`,
    );
  });
});

test("a lease that is collected without being disposed is reported, and ends", async () => {
  const gc = exposeGc();
  const leaked: string[] = [];
  const previous = onLeak((what) => leaked.push(what));
  try {
    using session = await Session.open({ device: "cpu", kernels: "reference" });
    using cache = new CompileCache(session, { maxBytes: 0 });
    await cache.compile(plus(1, "forgotten")).then(() => undefined);
    (await cache.compile(plus(2)))[Symbol.dispose]();
    expect(cache.stats().entries).toBe(2);
    for (let i = 0; i < 50 && leaked.length === 0; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(leaked).toEqual(['a lease of CompiledGraph "forgotten"']);
    expect(cache.stats().entries).toBe(1);
  } finally {
    onLeak(previous);
  }
});
