import { type Builder, define, evaluateGraph, Rng, randomTensor, Tensor, type Value } from "@rlxjs/ir";
import { KernelError } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import type { OpenSession } from "../../../runtime/test/suites/open-session.ts";

const bytesOf = (t: Tensor | undefined): number[] => [...(t?.bytes ?? [])];

/** What writes into KV caches do among other steps of a program. */
export function kvGraphSuite(open: OpenSession): void {
  const views: Readonly<Record<string, (g: Builder, cache: Value) => Value>> = {
    "a slice of the cache": (g, cache) => g.slice(cache, { axis: 1, start: 1, size: 2 }),
    "the reshaped cache": (g, cache) => g.reshape(cache, { shape: [1, 4, 2] }),
    "part of a reshaped cache": (g, cache) =>
      g.reshape(g.slice(g.reshape(cache, { shape: [1, 2, 4] }), { axis: 1, start: 1, size: 1 }), { shape: [1, 2, 2] }),
  };
  test.each(Object.entries(views))("%s may be a source", async (_, view) => {
    using session = await open();
    const graph = define("views", (g) => {
      const cache = g.state("cache", "f32", [1, 4, 2]);
      return { next: g.kvWrite(cache, view(g, cache), g.input("pos", "i32", []), { ring: true }) };
    });
    const before = randomTensor(new Rng(3), "f32", [1, 4, 2]);
    const states = new Map([["cache", Tensor.fromBytes("f32", [1, 4, 2], before.bytes.slice())]]);
    evaluateGraph(graph, { inputs: { pos: Tensor.from("i32", [], [3]) }, states });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    state.write("cache", before);
    compiled.runSync({ inputs: { pos: 3 }, state });
    expect(bytesOf(state.read("cache"))).toEqual(bytesOf(states.get("cache")));
  });

  test("a write that fails in the middle of a program leaves its cache, and the ones behind it", async () => {
    using session = await open();
    const graph = define("layers", (g) => {
      const [x, pos] = [g.input("x", "f32", [1, 2, 4]), g.input("pos", "i32", [])];
      const caches = [8, 3, 8].map((capacity, i) => g.state(`k${i}`, "f16", [1, capacity, 4]));
      return Object.fromEntries(caches.map((cache, i) => [`k${i}`, g.kvWrite(cache, x, pos)]));
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    const rng = new Rng(4);
    const before = [8, 3, 8].map((capacity) => randomTensor(rng, "f16", [1, capacity, 4]));
    for (const [i, t] of before.entries()) state.write(`k${i}`, t);
    const x = randomTensor(rng, "f32", [1, 2, 4]);
    expect(() => compiled.runSync({ inputs: { x, pos: 2 }, state })).toThrow(KernelError);
    for (const i of [1, 2]) expect(bytesOf(state.read(`k${i}`))).toEqual(bytesOf(before[i]));
    compiled.runSync({ inputs: { x, pos: 1 }, state });
    for (const i of [0, 1, 2]) expect(bytesOf(state.read(`k${i}`)).slice(8, 24)).toEqual(bytesOf(Tensor.from("f16", [8], x.toArray())));
  });

  test("a cache that is written from itself or from the other one is an error", async () => {
    using session = await open();
    const graph = define("aliased", (g) => {
      const [k, v, pos] = [g.state("k", "f32", [1, 2, 2]), g.state("v", "f32", [1, 2, 2]), g.input("pos", "i32", [])];
      const x = g.input("x", "f32", [1, 1, 2]);
      const next = g.kvWritePair(k, v, x, k, pos, { tokens: g.input("tokens", "i32", []) });
      return { k: next.k, v: next.v };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    for (const name of ["k", "v"]) state.write(name, Tensor.from("f32", [1, 2, 2], [1, 2, 3, 4]));
    const x = new Float32Array([5, 6]);
    expect(() => compiled.runSync({ inputs: { x, pos: 0, tokens: 1 }, state })).toThrow(KernelError);
    expect(() => compiled.runSync({ inputs: { x, pos: 0, tokens: 1 }, state })).toThrow(
      "v: expected memory of its own, got memory that overlaps kCache",
    );
    expect(["k", "v"].map((name) => state.read(name).toArray())).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
    const { k } = compiled.runSync({ inputs: { x, pos: 0, tokens: 0 }, state });
    expect(k.toArray()).toEqual([1, 2, 3, 4]);
  });

  test("a ring that is put in order where it lies is an error", async () => {
    using session = await open();
    const graph = define("aliased", (g) => {
      const ring = g.state("ring", "f32", [1, 2, 2]);
      return { ring: g.kvLinearizeRing(ring, ring, g.input("end", "i32", []), g.input("length", "i32", [])) };
    });
    using compiled = session.compileSync(graph);
    using state = session.createState(compiled);
    state.write("ring", Tensor.from("f32", [1, 2, 2], [1, 2, 3, 4]));
    const run = (length: number) => compiled.runSync({ inputs: { end: 3, length }, state });
    for (const length of [1, 2]) expect(() => run(length)).toThrow("src: expected memory of its own, got memory that overlaps dst");
    expect(run(0).ring.toArray()).toEqual([1, 2, 3, 4]);
  });
}
