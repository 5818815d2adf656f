import { define, Tensor } from "@rlxjs/ir";
import { BusyError, nextTask, onLeak, Session, UseAfterDisposeError } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { exposeGc } from "./gc.ts";
import "@rlxjs/backend-cpu";

/** Hundreds of steps of some milliseconds each: a run that takes a while. */
const slow = define("slow", (g) => {
  let x = g.input("x", "f32", [64, 64]);
  for (let i = 0; i < 200; i++) x = g.softmax(g.matmul(x, x));
  return { y: x };
});
const inputs = { x: new Float32Array(64 * 64).fill(0.01) };
const open = () => Session.open({ device: "cpu", kernels: "reference" });

test("an asynchronous run leaves the event loop free", async () => {
  using session = await open();
  using compiled = await session.compile(slow);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const started = performance.now();
  await compiled.run({ inputs });
  clearInterval(timer);
  // Steps of about a millisecond in slices of 5 ms: a timer fires in between again and again.
  expect(ticks).toBeGreaterThan((performance.now() - started) / 100);
});

test("an aborted run rejects with the reason of the signal, and the graph stays usable", async () => {
  using session = await open();
  using compiled = await session.compile(slow);
  const controller = new AbortController();
  const run = compiled.run({ inputs, signal: controller.signal });
  await nextTask();
  controller.abort();
  await expect(run).rejects.toMatchObject({ name: "AbortError" });
  expect(compiled.stats().hostSteps, "it stopped early").toBeLessThan(compiled.program.steps.length / 2);
  await expect(compiled.run({ inputs, signal: AbortSignal.abort("no more") })).rejects.toBe("no more");
  expect(() => compiled.runSync({ inputs, signal: AbortSignal.abort("no more") })).toThrow("no more");
  expect(compiled.stats().runs).toBe(0);
  await compiled.run({ inputs });
  expect(compiled.stats().runs).toBe(1);
});

test("a graph and a state set that are in use refuse another run", async () => {
  using session = await open();
  const stateful = define("stateful", (g) => {
    const s = g.state("s", "f32", [1]);
    let x = g.input("x", "f32", [64, 64]);
    for (let i = 0; i < 50; i++) x = g.softmax(g.matmul(x, x));
    return { y: g.stateWrite(s, g.reshape(g.reduceSum(x, { axes: [0, 1] }), { shape: [1] })) };
  });
  using one = await session.compile(stateful);
  using two = await session.compile(stateful);
  using state = session.createState(one);
  const run = one.run({ inputs, state });
  await expect(one.run({ inputs })).rejects.toThrow(BusyError);
  await expect(one.run({ inputs })).rejects.toMatchInlineSnapshot(
    `[BusyError: CompiledGraph "stateful" is busy: wait for the run in flight, or give each caller its own]`,
  );
  await nextTask();
  expect(() => two.runSync({ inputs, state })).toThrowErrorMatchingInlineSnapshot(
    `[BusyError: a StateSet is busy: wait for the run in flight, or give each caller its own]`,
  );
  expect(() => state.read("s")).toThrow(BusyError);
  const { y } = await run;
  expect(y.toArray()).toEqual(state.read("s").toArray());
});

test("disposing during a run lets it end and refuses further ones", async () => {
  using session = await open();
  const compiled = await session.compile(slow);
  const run = compiled.run({ inputs });
  compiled[Symbol.dispose]();
  expect((await run).y.shape).toEqual([64, 64]);
  await expect(compiled.run({ inputs })).rejects.toThrow(UseAfterDisposeError);
  await expect(compiled.run({ inputs })).rejects.toMatchInlineSnapshot(
    `[UseAfterDisposeError: CompiledGraph "slow" is used after it was disposed]`,
  );
});

test("what a session made cannot be used after it", async () => {
  const session = await open();
  const graph = define("g", (g) => {
    const s = g.state("s", "f32", [1]);
    return { y: g.stateWrite(s, g.add(s, g.input("x", "f32", [1]))) };
  });
  const compiled = session.compileSync(graph);
  const state = session.createState(compiled);
  session[Symbol.dispose]();
  expect(() => compiled.runSync({ inputs: { x: new Float32Array(1) } })).toThrowErrorMatchingInlineSnapshot(
    `[UseAfterDisposeError: the session of device "cpu" is used after it was disposed]`,
  );
  expect(() => session.compileSync(graph)).toThrow(UseAfterDisposeError);
  state[Symbol.dispose]();
  compiled[Symbol.dispose]();
  expect(() => state.read("s")).toThrowErrorMatchingInlineSnapshot(`[UseAfterDisposeError: a StateSet is used after it was disposed]`);
});

test("an object that is collected without being disposed is reported", async () => {
  const gc = exposeGc();
  const leaked: string[] = [];
  const previous = onLeak((what) => leaked.push(what));
  try {
    using session = await open();
    const graph = define("forgotten", (g) => ({ y: g.add(g.input("x", "f32", [1]), 1) }));
    (() => session.compileSync(graph).runSync({ inputs: { x: Tensor.zeros("f32", [1]) } }))();
    for (let i = 0; i < 50 && leaked.length === 0; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(leaked).toEqual(['CompiledGraph "forgotten"']);
  } finally {
    onLeak(previous);
  }
});
