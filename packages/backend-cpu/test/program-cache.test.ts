import { createHash } from "node:crypto";
import { define, dim, type Graph, RlxError, Tensor } from "@rlxjs/ir";
import { nextTask, printProgram, type ProgramCache, ProgramFormatError, Session, type SessionOptions, WeightStore } from "@rlxjs/runtime";
import * as fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import "@rlxjs/backend-cpu";

class MemoryCache implements ProgramCache {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.files.get(key)?.slice();
  }
  async put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.files.set(key, bytes.slice());
  }
  /** The only entry. */
  get entry(): [key: string, bytes: Uint8Array<ArrayBuffer>] {
    return [...this.files][0] ?? expect.fail("nothing was put");
  }
}

/** Fusions, a packed and an evaluated weight, a constant, a state, a symbolic extent, labels. */
function model(name = "model", width = 8): Graph<"y" | "sum"> {
  const n = dim("n", { min: 1, max: 6 });
  return define(name, (g) => {
    const x = g.input("x", "f32", [n, width]);
    const cache = g.state("cache", "f32", [1, 8, width]);
    const [a, b] = ["a", "b"].map((w) => g.linear(x, g.param(w, "f32", [width, width]))) as [never, never];
    const y = g.relu(
      g.mul(
        g.add(a, b),
        g.constant(
          Tensor.from(
            "f32",
            [width],
            Array.from({ length: width }, (_, i) => i - 2.5),
          ),
        ),
      ),
    );
    const next = g.kvWrite(cache, g.reshape(y, { shape: [1, n, width] }), g.input("pos", "i32", []), { headDim: width });
    return { y, sum: g.reduceSum(next, { axes: [1] }) };
  });
}
const weights = () => {
  const square = (seed: number) =>
    Tensor.from(
      "f32",
      [8, 8],
      Array.from({ length: 64 }, (_, i) => Math.sin(i * seed)),
    );
  return new WeightStore({ a: square(1), b: square(2) });
};
const inputs = {
  x: Tensor.from(
    "f32",
    [3, 8],
    Array.from({ length: 24 }, (_, i) => Math.cos(i)),
  ),
  pos: 2,
};

async function open(options: Partial<SessionOptions> = {}) {
  const session = await Session.open({ device: "cpu", ...options });
  onTestFinished(() => session[Symbol.dispose]());
  return session;
}

test("what an earlier session compiled gives the same program, reports and bits", async () => {
  const programCache = new MemoryCache();
  using store = weights();
  const results = [];
  for (const hits of [0, 1]) {
    const session = await open({ programCache });
    using compiled = await session.compile(model(), { weights: store });
    expect(session.stats()).toEqual({ compiles: 1, programCache: { hits, misses: 1 - hits, problems: 0 } });
    const { program, dispatchReport, passStats, fusionMisses } = compiled;
    const { y, sum } = await compiled.run({ inputs });
    results.push({
      program: printProgram(program),
      steps: program.steps,
      dispatchReport,
      passStats,
      fusionMisses,
      y: y.bytes,
      sum: sum.bytes,
    });
  }
  expect(results[1]).toEqual(results[0]);
  expect(programCache.files.size).toBe(1);
});

test("weights are no part of what is kept, everything else is", async () => {
  const programCache = new MemoryCache();
  using store = weights();
  using other = new WeightStore({ a: Tensor.zeros("f32", [8, 8]), b: Tensor.zeros("f32", [8, 8]) });
  const session = await open({ programCache });
  const compile = async (graph: Graph<"y" | "sum">, options: Parameters<Session["compile"]>[1] = {}) => {
    using compiled = await session.compile(graph, { weights: store, ...options });
    return compiled.name;
  };
  await compile(model());
  using zero = await session.compile(model(), { weights: other });
  expect((await zero.run({ inputs })).y.toArray().every((v) => v === 0)).toBe(true);
  expect(session.stats().programCache).toMatchObject({ hits: 1, misses: 1 });
  for (const graph of [model("renamed"), model(undefined)]) await compile(graph);
  await compile(model(), { passes: { fuse: false } });
  const reference = await open({ programCache, kernels: "reference" });
  using _ = await reference.compile(model(), { weights: store });
  expect(session.stats().programCache).toMatchObject({ hits: 2, misses: 3 });
  expect(reference.stats().programCache).toMatchObject({ hits: 0, misses: 1 });
  expect(programCache.files.size).toBe(4);
});

const plain = () => define("plain", (g) => ({ y: g.relu(g.input("x", "f32", [2])) }));

test("compiling at once asks a cache that answers at once, and no other", async () => {
  class SyncCache extends MemoryCache {
    getSync(key: string): Uint8Array<ArrayBuffer> | undefined {
      return this.files.get(key)?.slice();
    }
  }
  for (const [programCache, hits, misses] of [
    [new SyncCache(), 2, 1],
    [new MemoryCache(), 0, 1],
  ] as const) {
    const session = await open({ programCache });
    using first = session.compileSync(plain());
    using second = await session.compile(plain());
    using third = session.compileSync(plain());
    for (const compiled of [first, second, third])
      expect(compiled.runSync({ inputs: { x: new Float32Array([-1, 1]) } }).y.toArray()).toEqual([0, 1]);
    expect(session.stats().programCache).toEqual({ hits, misses, problems: 0 });
  }
});

test("a cache that does not answer does not hold an aborted compile, and is no problem then", async () => {
  const never = () => new Promise<never>(() => undefined);
  const session = await open({ programCache: { get: never, put: never } });
  const stop = new AbortController();
  const compiling = session.compile(plain(), { signal: stop.signal });
  await nextTask();
  stop.abort("enough");
  await expect(compiling).rejects.toBe("enough");
  expect(session.stats()).toEqual({ compiles: 0, programCache: { hits: 0, misses: 0, problems: 0 } });
});

test("large constants are hashed and checked in slices", async () => {
  const programCache = new MemoryCache();
  const size = 2 ** 22;
  const big = Tensor.zeros("f32", [size]);
  const session = await open({ programCache });
  for (const hits of [0, 1]) {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const started = performance.now();
    using compiled = await session.compile(define("big", (g) => ({ y: g.add(g.input("x", "f32", [size]), g.constant(big)) })));
    clearInterval(timer);
    expect(turns, compiled.name).toBeGreaterThan((performance.now() - started) / 100);
    expect(session.stats().programCache).toMatchObject({ hits });
  }
});

test("a cache that fails is reported, and does not stop the compile", async () => {
  const problems: unknown[] = [];
  const fail = async (): Promise<never> => {
    throw new Error("the disk is gone");
  };
  /** Not even a promise: written in JavaScript. */
  const failAtOnce = (): never => {
    throw new Error("the disk is gone");
  };
  for (const cache of [
    { get: fail, put: fail },
    { get: failAtOnce, put: failAtOnce, getSync: failAtOnce },
  ]) {
    const session = await open({ programCache: cache, onProgramCacheProblem: (error) => problems.push(error) });
    using compiled = await session.compile(plain());
    expect((await compiled.run({ inputs: { x: new Float32Array([-1, 1]) } })).y.toArray()).toEqual([0, 1]);
    expect(problems.splice(0).map(String)).toEqual(["Error: the disk is gone", "Error: the disk is gone"]);
    expect(session.stats().programCache).toEqual({ hits: 0, misses: 1, problems: 2 });
    using _ = session.compileSync(plain());
    await nextTask();
    expect(problems.splice(0).length).toBe("getSync" in cache ? 2 : 0);
  }
});

/** Compile with these bytes in the cache; they must be a miss that is reported, and be replaced. */
async function damaged(graph: Graph, key: string, bytes: Uint8Array<ArrayBuffer>): Promise<unknown> {
  const programCache = new MemoryCache();
  programCache.files.set(key, bytes);
  const problems: unknown[] = [];
  const session = await open({ programCache, onProgramCacheProblem: (error) => problems.push(error) });
  using compiled = await session.compile(graph);
  expect(compiled.outputs.size).toBeGreaterThan(0);
  const { hits, misses } = session.stats().programCache;
  if (hits === 1) return undefined;
  expect([misses, problems.length]).toEqual([1, 1]);
  expect(programCache.files.get(key), "the good one replaces it").not.toEqual(bytes);
  return problems[0];
}

async function compiledBytes(graph: Graph): Promise<[key: string, bytes: Uint8Array<ArrayBuffer>]> {
  const programCache = new MemoryCache();
  const session = await open({ programCache });
  using _ = await session.compile(graph);
  return programCache.entry;
}

test("files that are cut, of another version, or of another graph are misses that are reported", async () => {
  const graph = model();
  const [key, good] = await compiledBytes(graph);
  const changed = (at: number, value: number): Uint8Array<ArrayBuffer> => Uint8Array.from(good, (b, i) => (i === at ? value : b));
  const messages = [];
  for (const bytes of [
    new Uint8Array(),
    good.subarray(0, 47),
    good.subarray(0, 100),
    good.subarray(0, -1),
    changed(0, 0x58),
    changed(4, 99),
    changed(11, 0xff),
    changed(20, (good[20] ?? 0) ^ 1),
    changed(good.length - 70, 7),
    (await compiledBytes(model("other")))[1],
  ]) {
    const problem = await damaged(graph, key, bytes.slice());
    expect(problem).toBeInstanceOf(ProgramFormatError);
    messages.push(String(problem).replace(/\d+ bytes, but \d+/, "..."));
  }
  expect(messages).toMatchInlineSnapshot(`
    [
      "ProgramFormatError: cached program: expected at least 48 bytes",
      "ProgramFormatError: cached program: expected at least 48 bytes",
      "ProgramFormatError: cached program: header of ... follow",
      "ProgramFormatError: cached program: the checksum is wrong",
      "ProgramFormatError: cached program: expected "RLXP" at the start",
      "ProgramFormatError: cached program: expected version 1, got 99",
      "ProgramFormatError: cached program: header of ... follow",
      "ProgramFormatError: cached program: the checksum is wrong",
      "ProgramFormatError: cached program: the checksum is wrong",
      "ProgramFormatError: cached program: it was put under another key",
    ]
  `);
});

test("random bytes and bit flips are never taken, whatever they hit", async () => {
  const graph = model();
  const [key, good] = await compiledBytes(graph);
  const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 });
  const flipped = flips.map((list) => {
    const bytes = good.slice();
    for (const [at, mask] of list) bytes[at] = (bytes[at] ?? 0) ^ mask;
    return bytes;
  });
  const random = fc.uint8Array({ maxLength: 200 }).map((tail) => Uint8Array.from([...good.subarray(0, 8), ...tail]));
  await fc.assert(
    fc.asyncProperty(fc.oneof(flipped, random), async (bytes) => {
      const same = bytes.length === good.length && bytes.every((b, i) => b === good[i]);
      expect((await damaged(graph, key, bytes)) instanceof ProgramFormatError).toBe(!same);
    }),
    { numRuns: 60 },
  );
});

test("files with a right checksum and wrong contents are an error that is a miss, or another valid graph", async () => {
  const graph = model();
  const [key, good] = await compiledBytes(graph);
  const text = new TextDecoder("latin1").decode(good);
  /** Digits, letters and marks of the two JSON headers, where a change gets furthest. */
  const places = [...text].flatMap((c, i) => (i >= 48 && c >= " " && c <= "~" ? [i] : []));
  const forged = fc.array(fc.tuple(fc.constantFrom(...places), fc.constantFrom(...'0123456789-x"[]{},:.$')), {
    minLength: 1,
    maxLength: 3,
  });
  using store = weights();
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(forged, async (changes) => {
      const programCache = new MemoryCache();
      const bytes = good.slice();
      for (const [at, c] of changes) bytes[at] = c.charCodeAt(0);
      bytes.set(createHash("sha256").update(bytes.subarray(48)).digest(), 16);
      programCache.files.set(key, bytes);
      const problems: unknown[] = [];
      const session = await open({ programCache, onProgramCacheProblem: (error) => problems.push(error) });
      using compiled = await session.compile(graph, { weights: store });
      taken += session.stats().programCache.hits;
      expect(problems.every((p) => p instanceof RlxError)).toBe(true);
      await compiled.run({ inputs }).then(
        ({ y }) => expect(y.shape).toEqual([3, 8]),
        (error) => expect(error).toBeInstanceOf(RlxError),
      );
    }),
    // A pass that took another time: as good a file as any.
    { numRuns: 100, examples: [[[[text.indexOf('"micros":') + 9, "7"]]]] },
  );
  expect(taken).toBeGreaterThan(0);
});
