import { type DType, define, dim, Tensor } from "@rlxjs/ir";
import { FeedError, type GpuRowFeed, HandleError } from "@rlxjs/runtime";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { OpenSession } from "./open-session.ts";

const upper = 5;
const width = 2;
type Row = readonly number[];
/** One list of rows per sequence. */
type Rows = readonly (readonly Row[])[];

const tensorOf = (dtype: DType, rows: Rows): Tensor => Tensor.from(dtype, [rows.length, rows[0]?.length ?? 0, width], rows.flat(2));
const counted = (batch: number, count: number, from: number): Rows =>
  Array.from({ length: batch }, (_, b) => Array.from({ length: count }, (_, r) => [from + 20 * b + r, -from - r]));

const past = dim("past", { min: 0, max: upper });
const graphOf = (dtype: DType, batch: number, extent: typeof past | number) =>
  define("cache", (g) => {
    const cache = g.input("cache", dtype, [batch, extent, width]);
    return { all: g.concat([cache, g.input("x", dtype, [batch, 2, width])], { axis: 1 }), negated: g.neg(cache) };
  });

const feed = fc.record({ srcRow: fc.nat(upper + 2), dstRow: fc.nat(upper), rows: fc.integer({ min: 1, max: 3 }) });
const command = fc.oneof(
  fc.record({ kind: fc.constant("bind" as const), rows: fc.nat(upper) }),
  fc.record({ kind: fc.constant("rows" as const), feeds: fc.array(feed, { maxLength: 3 }) }),
  fc.record({ kind: fc.constantFrom("whole" as const, "plain" as const, "abort" as const) }),
  fc.record({ kind: fc.constantFrom("truncate" as const, "move" as const), rows: fc.nat(upper) }),
);

type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

/** What row feeds make of the rows, by plain lists; undefined: they do not fit. */
function fedRows(cache: Rows, all: Rows, feeds: readonly Omit<GpuRowFeed, "output">[]): Rows | undefined {
  let now = cache;
  for (const { srcRow, dstRow, rows = 1 } of feeds) {
    const count = now[0]?.length ?? 0;
    if (srcRow + rows > (all[0]?.length ?? 0) || dstRow > count || dstRow + rows > upper) return undefined;
    now = now.map((list, b) => [...list.slice(0, dstRow), ...(all[b] ?? []).slice(srcRow, srcRow + rows), ...list.slice(dstRow + rows)]);
  }
  return now;
}

export async function randomHandlesSuite(open: OpenSession, numRuns = 60): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  test.each([
    ["f32", 1],
    ["f16", 3],
    ["i64", 2],
  ] as const)("any use of a handle of %s, batch %i, leaves what plain lists of rows would", async (dtype, batch) => {
    using compiled = session.compileSync(graphOf(dtype, batch, past));
    using fixed = session.compileSync(graphOf(dtype, batch, upper));
    const play = async (commands: readonly Command[]) => {
      let cache = counted(batch, 1, 1);
      compiled.bindGpuHandle("cache", tensorOf(dtype, cache));
      for (const [step, c] of commands.entries()) {
        const x = counted(batch, 2, 100 + 3 * step);
        const inputs = { x: tensorOf(dtype, x) };
        const all = cache.map((list, b) => [...list, ...(x[b] ?? [])]);
        const count = cache[0]?.length ?? 0;
        if (c.kind === "bind") {
          cache = counted(batch, c.rows, step);
          compiled.bindGpuHandle("cache", tensorOf(dtype, cache));
        } else if (c.kind === "rows") {
          const run = compiled.run({ inputs, read: ["all"], feeds: { cache: c.feeds.map((f) => ({ ...f, output: "all" as const })) } });
          const next = fedRows(cache, all, c.feeds);
          if (next) expect((await run).all).toEqual(tensorOf(dtype, all));
          else await expect(run).rejects.toThrow(FeedError);
          cache = next ?? cache;
        } else if (c.kind === "whole") {
          compiled.runSync({ inputs, feeds: { cache: "negated" } });
          cache = cache.map((list) => list.map((row) => row.map((v) => -v)));
        } else if (c.kind === "truncate") {
          const cut = () => compiled.truncateGpuHandle("cache", { rows: c.rows });
          if (c.rows > count) expect(cut).toThrow(HandleError);
          else cut();
          cache = cache.map((list) => (c.rows > count ? list : list.slice(0, c.rows)));
        } else if (c.kind === "move") {
          // To the graph of fixed extent, which has zeros behind the rows, and back with some of them.
          if (fixed.hasGpuHandle("cache")) fixed.unbindGpuHandle("cache");
          fixed.copyGpuHandleFrom(compiled, "cache");
          compiled.copyGpuHandleFrom(fixed, "cache", { rows: c.rows });
          cache = cache.map((list) => Array.from({ length: c.rows }, (_, r) => list[r] ?? new Array<number>(width).fill(0)));
        } else if (c.kind === "abort") {
          await expect(compiled.run({ inputs, feeds: { cache: "negated" }, signal: AbortSignal.abort("no") })).rejects.toBe("no");
        } else expect(compiled.runSync({ inputs, read: ["all"] }).all).toEqual(tensorOf(dtype, all));
        expect(compiled.readGpuHandle("cache"), `${step}: ${JSON.stringify(c)}`).toEqual(tensorOf(dtype, cache));
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 20 }), play), { numRuns });
  });
}
