import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNativeBackend, loadAddon, type NativeBackend } from "@rlxjs/backend-cpu";
import { define, dim, Rng, randomTensor, Tensor } from "@rlxjs/ir";
import { lowerGraph, type Program, type RunCall } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";

const { addon } = loadAddon();
const native = (threads = 2): NativeBackend => {
  if (!addon) throw new Error("the native addon is not built");
  return createNativeBackend(addon, { threads });
};
const bytes = (n: number): Uint8Array<ArrayBuffer> => new Uint8Array(n);
// Much quicker than comparing element by element.
const same = (a: Uint8Array, b: Uint8Array | undefined): boolean => b !== undefined && Buffer.compare(a, b) === 0;
const call = (
  extents: number[],
  inputs: Uint8Array<ArrayBuffer>[],
  outputs: Uint8Array<ArrayBuffer>[],
  more: Partial<RunCall> = {},
): RunCall => ({
  extents,
  inputs,
  outputs,
  states: [],
  ...more,
});

const rows = dim("rows", { min: 0, max: 64 });
const width = 1000;
/** Long enough to be interrupted: a chain of softmaxes, which do not fuse. */
const chain = (backend: NativeBackend, length: number, extent = rows): Program =>
  lowerGraph(
    define("chain", (g) => {
      let x = g.input("x", "f32", [extent, width]);
      for (let i = 0; i < length; i++) x = g.softmax(x);
      return x;
    }),
    { kernels: backend.kernels },
  );

describe.skipIf(!addon)("the native executor", () => {
  test("gives the same bits for every number of threads, extent and way to run", async () => {
    const x = randomTensor(new Rng(1), "f32", [64, width]).bytes;
    for (const n of [0, 1, 37, 64]) {
      const results = await Promise.all(
        [1, 2, 5].map(async (threads) => {
          using backend = native(threads);
          using program = backend.load(chain(backend, 3), bound(chain(backend, 3)));
          const [sync, async] = [bytes(n * width * 4), bytes(n * width * 4)];
          program.runSync(call([n], [x.slice(0, n * width * 4)], [sync]));
          await program.run(call([n], [x.slice(0, n * width * 4)], [async]));
          expect(same(async, sync)).toBe(true);
          return sync;
        }),
      );
      for (const r of results) expect(same(r, results[0])).toBe(true);
    }
  });

  test("is one native call per run, and tells the time of every step", () => {
    using backend = native();
    const program = chain(backend, 4);
    using loaded = backend.load(program, bound(program));
    let micros: Float64Array = new Float64Array();
    for (let i = 0; i < 3; i++) loaded.runSync(call([8], [bytes(8 * width * 4)], [bytes(8 * width * 4)], { trace: (m) => (micros = m) }));
    expect(loaded.stats()).toEqual({ runs: 3, nativeCalls: 3, hostSteps: 0, arenaBytes: program.arenaBytes });
    expect([...micros].every((t) => t > 0)).toBe(true);
    expect(micros.length).toBe(4);
  });

  test("stops soon after an abort, leaves the event loop free, and runs again", async () => {
    using backend = native(1);
    const program = chain(backend, 2000);
    using loaded = backend.load(program, bound(program));
    const size = 64 * width * 4;
    const stop = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const run = loaded.run(call([64], [bytes(size)], [bytes(size)], { signal: stop.signal }));
    let aborted = 0;
    setTimeout(() => {
      aborted = performance.now();
      stop.abort(new Error("enough"));
    }, 30);
    await expect(run).rejects.toThrow("enough");
    expect(performance.now() - aborted).toBeLessThan(50);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(3);
    await expect(loaded.run(call([1], [bytes(width * 4)], [bytes(width * 4)], { signal: stop.signal }))).rejects.toThrow("enough");
    const out = new Float32Array(width);
    await loaded.run(call([1], [bytes(width * 4)], [new Uint8Array(out.buffer)]));
    expect(out[0]).toBeCloseTo(1 / width);
  });

  test("does not see what happens to the inputs of an asynchronous run", async () => {
    using backend = native();
    const program = chain(backend, 1);
    using loaded = backend.load(program, bound(program));
    const x = randomTensor(new Rng(2), "f32", [1, width]);
    const [expected, got] = [bytes(width * 4), bytes(width * 4)];
    loaded.runSync(call([1], [x.bytes.slice()], [expected]));
    const given = x.bytes.slice();
    const run = loaded.run(call([1], [given], [got]));
    structuredClone(given, { transfer: [given.buffer] });
    await run;
    expect(got).toEqual(expected);
  });

  test("takes operands at any alignment and outputs that are not delivered", () => {
    using backend = native();
    const program = chain(backend, 1);
    using loaded = backend.load(program, bound(program));
    const x = randomTensor(new Rng(3), "f32", [1, width]).bytes;
    const odd = new Uint8Array(width * 4 + 3).subarray(3);
    odd.set(x);
    const [expected, target] = [bytes(width * 4), new Uint8Array(width * 4 + 1).subarray(1)];
    loaded.runSync(call([1], [x], [expected]));
    loaded.runSync(call([1], [odd], [target]));
    expect(target).toEqual(expected);
    loaded.runSync({ extents: [1], inputs: [x], outputs: [undefined], states: [] });
  });

  test("runs steps without a kernel on the references, between native ones", async () => {
    using backend = native();
    const graph = define("mixed", (g) => g.exp(g.softmax(g.neg(g.input("x", "f32", [rows, 4])))));
    const whole = lowerGraph(graph, { kernels: backend.kernels });
    const mixed = lowerGraph(graph, { kernels: backend.kernels.filter((k) => k.op !== "softmax") });
    expect(mixed.steps.map((s) => s.kernel)).toEqual(["elementwise", "reference", "elementwise"]);
    using a = backend.load(whole, bound(whole));
    using b = backend.load(mixed, bound(mixed));
    const x = randomTensor(new Rng(4), "f32", [5, 4]);
    const [ya, yb, yc] = [0, 0, 0].map(() => Tensor.zeros("f32", [5, 4]));
    if (!ya || !yb || !yc) return expect.fail();
    a.runSync(call([5], [x.bytes], [ya.bytes]));
    b.runSync(call([5], [x.bytes], [yb.bytes]));
    await b.run(call([5], [x.bytes], [yc.bytes]));
    for (let i = 0; i < 20; i++) expect(yb.get(i)).toBeCloseTo(ya.get(i), 6);
    expect(yc.toArray()).toEqual(yb.toArray());
    expect(b.stats()).toMatchObject({ runs: 2, nativeCalls: 4, hostSteps: 2 });
  });

  test("works on memory of the device in place, with host steps too, and keeps it as long as it runs", async () => {
    using backend = native();
    const graph = define("host first", (g) => g.neg(g.softmax(g.input("x", "f32", [1, 4]))));
    const program = lowerGraph(graph, { kernels: backend.kernels.filter((k) => k.op !== "softmax") });
    expect(program.steps.map((s) => s.kernel)).toEqual(["reference", "elementwise"]);
    using loaded = backend.load(program, bound(program));
    const [x, y] = [backend.allocate(16), backend.allocate(16)];
    const run = loaded.run(call([], [x.bytes], [y.bytes]));
    // The first step runs later, on this thread: it sees what is in the memory then.
    x.bytes.set(Tensor.from("f32", [1, 4], [-1e9, 0, -1e9, -1e9]).bytes);
    await run;
    expect(Tensor.fromBytes("f32", [4], y.bytes).toArray()).toEqual([-0, -1, -0, -0]);
    const last = loaded.run(call([], [x.bytes], [y.bytes]));
    x[Symbol.dispose]();
    await last;
    y[Symbol.dispose]();
  });

  test("refuses programs and calls that would leave their buffers", () => {
    using backend = native();
    const program = chain(backend, 1);
    const broken = (change: (p: Program) => Program): string => {
      try {
        const p = change(program);
        using loaded = backend.load(p, bound(p));
        loaded.runSync(call([64], [bytes(64 * width * 4)], [bytes(64 * width * 4)]));
        return "ran";
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    };
    const step = program.steps[0];
    const x = step?.inputs[0];
    const y = step?.outputs[0];
    if (!step || !x || !y) return expect.fail();
    const errors = [
      broken((p) => ({ ...p, steps: [{ ...step, outputs: [{ ...y, offset: 4 }] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, inputs: [{ ...x, shape: [65, width] }] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, inputs: [{ ...x, shape: [32, width] }] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, inputs: [{ ...x, shape: [2 ** 40, 2 ** 40] }] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, inputs: [{ ...x, buffer: 9 }] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, kernel: "frobnicate" }] })),
      broken((p) => ({ ...p, steps: [{ ...step, params: [7] }] })),
      broken((p) => ({ ...p, steps: [{ ...step, scratch: { offset: 0, bytes: 64 } }] })),
    ];
    expect(errors).toMatchInlineSnapshot(`
      [
        "graph "chain": step 0 softmax (softmax): output 0 needs bytes [4, 256004) of a buffer of 256000",
        "graph "chain": step 0 softmax (softmax): operand 0 needs bytes [0, 260000) of a buffer of 256000",
        "graph "chain": step 0 softmax (softmax): x: expected floats, as the output",
        "graph "chain": step 0 softmax (softmax): operand 0 needs bytes [0, inf) of a buffer of 256000",
        "program: operand buffer is out of range",
        "program: kernel "frobnicate" is not in the kernel table",
        "graph "chain": step 0 softmax (softmax): x: expected floats, as the output",
        "program: scratch is out of the arena",
      ]
    `);
    using loaded = backend.load(program, bound(program));
    expect(() => loaded.runSync(call([64], [bytes(8)], [bytes(64 * width * 4)]))).toThrowErrorMatchingInlineSnapshot(
      `[RlxError: graph "chain": input buffer 0: expected 256000 bytes, got 8]`,
    );
    expect(() => loaded.runSync(call([65], [bytes(65 * width * 4)], [bytes(65 * width * 4)]))).toThrowErrorMatchingInlineSnapshot(
      `[RlxError: graph "chain": extent 0 is out of its bounds]`,
    );
  });

  test("maps files, and forgets them when they are disposed", () => {
    using backend = native();
    const directory = mkdtempSync(join(tmpdir(), "rlxjs-"));
    const path = join(directory, "weights.bin");
    writeFileSync(
      path,
      Uint8Array.from({ length: 10_000 }, (_, i) => i % 251),
    );
    try {
      const file = backend.mapFile(path);
      expect(file.size).toBe(10_000);
      const views = [file.view(0, 10), file.view(0, 10), file.view(5000, 300)];
      expect(views.map((v) => v[0])).toEqual([0, 0, 5000 % 251]);
      expect(() => file.view(9_999, 2)).toThrow("expected a range within its 10000 bytes, got 2 bytes at 9999");
      file[Symbol.dispose]();
      expect(views.map((v) => v.length)).toEqual([0, 0, 0]);
      expect(existsSync(path)).toBe(true);
    } finally {
      rmSync(directory, { recursive: true });
    }
    expect(() => backend.mapFile("/no/such/file.gguf")).toThrowErrorMatchingInlineSnapshot(
      `[RlxError: cannot map /no/such/file.gguf: No such file or directory]`,
    );
    expect(() => backend.mapFile(tmpdir())).toThrow("not a regular file");
  });

  test("keeps mapped weights alive as long as a program uses them", () => {
    using backend = native();
    const directory = mkdtempSync(join(tmpdir(), "rlxjs-"));
    const path = join(directory, "weights.bin");
    writeFileSync(path, randomTensor(new Rng(5), "f32", [width]).bytes);
    const program = lowerGraph(
      define("scaled", (g) => g.mul(g.input("x", "f32", [rows, width]), g.param("w", "f32", [width]))),
      { kernels: backend.kernels },
    );
    const file = backend.mapFile(path);
    using loaded = backend.load(program, bound(program, file.view(0, width * 4)));
    const x = new Uint8Array(new Float32Array(width).fill(1).buffer);
    const [before, after] = [bytes(width * 4), bytes(width * 4)];
    loaded.runSync(call([1], [x], [before]));
    file[Symbol.dispose]();
    loaded.runSync(call([1], [x], [after]));
    expect(after).toEqual(before);
    rmSync(directory, { recursive: true });
  });

  test("state memory is zero, costs nothing until it is touched, and goes back at once", () => {
    using backend = native();
    const rss = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) {
      const state = backend.allocate(2 ** 30);
      expect(state.bytes[2 ** 29]).toBe(0);
      state.bytes[5] = 1;
      state[Symbol.dispose]();
      expect(state.bytes.length).toBe(0);
    }
    expect(process.memoryUsage().rss - rss).toBeLessThan(64 * 2 ** 20);
  });

  test("options are checked", () => {
    expect(() => native(0)).toThrowErrorMatchingInlineSnapshot(`[RlxError: threads: expected an integer from 1 to 1024, got 0]`);
    if (addon) expect(() => createNativeBackend(addon, { isa: "mmx" })).toThrow("expected one of");
    using backend = native(1);
    expect(backend.measureBandwidth(2 ** 24)).toBeGreaterThan(1e8);
  });
});

function bound(program: Program, weight?: Uint8Array<ArrayBuffer>): (Uint8Array<ArrayBuffer> | undefined)[] {
  return program.buffers.map((b) => (b.kind === "constant" ? b.value.bytes : b.kind === "weight" ? weight : undefined));
}
