import { dimMax, showShape, showType, type TensorType } from "@rlxjs/ir";
import { type RowLayout, rowLayout } from "./device-rows.ts";
import { FeedError } from "./errors.ts";
import type { GraphTypes } from "./run-options.ts";

/** Rows of an output that become rows of a handle. */
export interface GpuRowFeed<Out extends string = string> {
  readonly output: Out;
  /** First row of the output, and where it goes in the handle. */
  readonly srcRow: number;
  readonly dstRow: number;
  /** Default 1. */
  readonly rows?: number;
  /** The axis that rows are counted along; every index of the axes before it gets its rows. Default 1: [batch, rows, width]. */
  readonly axis?: number;
}
/** What a handle becomes after a run: a whole output, or what it was with some rows of an output. */
export type GpuHandleFeed<Out extends string = string> = Out | GpuRowFeed<Out>;
/** Feeds by handle. */
export type GpuHandleFeeds<Out extends string = string> = Readonly<Record<string, GpuHandleFeed<Out> | readonly GpuHandleFeed<Out>[]>>;

/** A row copy with everything decided. */
export interface PlannedRows<Out extends string = string> {
  readonly output: Out;
  readonly axis: number;
  readonly rows: number;
  readonly source: RowLayout;
  readonly srcRow: number;
  readonly dstRow: number;
  /** Rows of the handle along `axis` afterwards. */
  readonly extent: number;
}

export const feedList = <Out extends string>(feeds: GpuHandleFeed<Out> | readonly GpuHandleFeed<Out>[]): readonly GpuHandleFeed<Out>[] =>
  typeof feeds === "string" || !Array.isArray(feeds) ? [feeds as GpuHandleFeed<Out>] : feeds;

export const feedOutput = <Out extends string>(feed: GpuHandleFeed<Out>): Out => (typeof feed === "string" ? feed : feed.output);

const isCount = (n: number, min: number): boolean => Number.isSafeInteger(n) && n >= min;

/** Check what does not depend on a run: outputs exist, dtypes agree, a whole output has the type of the input. */
export function checkFeeds<Out extends string>(
  graph: GraphTypes<Out>,
  handle: string,
  type: TensorType,
  feeds: readonly GpuHandleFeed<Out>[],
): void {
  for (const feed of feeds) {
    const name = feedOutput(feed);
    const fail = (message: string): never => {
      throw new FeedError(graph.name, handle, name, message);
    };
    const output = graph.outputs.get(name) ?? fail(`expected one of ${[...graph.outputs.keys()].join(", ")}`);
    if (typeof feed === "string") {
      if (feeds.length > 1) fail("a feed of the whole output is the only one of its handle");
      if (showType(output) !== showType(type)) fail(`expected ${showType(type)}, got ${showType(output)}${lostRows(type, output)}`);
      continue;
    }
    const { srcRow, dstRow, rows = 1, axis = 1 } = feed;
    if (output.dtype !== type.dtype) fail(`expected ${showType(type)}, got ${showType(output)}`);
    if (!isCount(srcRow, 0) || !isCount(dstRow, 0) || !isCount(rows, 1))
      fail(`expected whole numbers srcRow >= 0, dstRow >= 0, rows >= 1, got ${srcRow}, ${dstRow}, ${rows}`);
    if (!isCount(axis, 0) || axis >= type.shape.length) fail(`axis: expected 0 to ${type.shape.length - 1}, got ${axis}`);
  }
}

/** Which rows of an output a handle of the input's type has no place for. */
function lostRows(type: TensorType, output: TensorType): string {
  const axis = output.shape.findIndex((d, i) => dimMax(d) > dimMax(type.shape[i] ?? 0));
  if (axis < 0 || output.shape.length !== type.shape.length) return "";
  const [kept, all] = [dimMax(type.shape[axis] ?? 0), dimMax(output.shape[axis] ?? 0)];
  const lost = all === kept + 1 ? `row ${kept}` : `rows ${kept} to ${all - 1}`;
  return `: ${lost} of axis ${axis} would be lost, feed rows instead`;
}

/** Decide the row feeds of a handle that has `shape` now, for outputs of these shapes. */
export function planRows<Out extends string>(
  graph: GraphTypes<Out>,
  handle: string,
  type: TensorType,
  shape: readonly number[],
  feeds: readonly GpuRowFeed<Out>[],
  outputShape: (name: Out) => readonly number[],
): PlannedRows<Out>[] {
  let now = shape;
  return feeds.map(({ output, srcRow, dstRow, rows = 1, axis = 1 }) => {
    const fail = (message: string): never => {
      throw new FeedError(graph.name, handle, output, message);
    };
    const given = outputShape(output);
    const source = rowLayout(type.dtype, given, axis);
    const agrees = given.length === now.length && given.every((d, i) => i === axis || d === now[i]);
    if (!source || !agrees)
      return fail(`expected rows of ${type.dtype}${showShape(now)} along axis ${axis}, got ${type.dtype}${showShape(given)}`);
    const dim = type.shape[axis] ?? 0;
    const current = now[axis] ?? 0;
    const limit = dimMax(dim);
    if (srcRow + rows > source.extent)
      fail(`expected rows within the ${source.extent} of the output, got ${srcRow} to ${srcRow + rows - 1}`);
    if (dstRow + rows > limit || dstRow > current) {
      const room = limit > current ? `, or behind them, up to ${limit}` : "";
      fail(`expected rows within the ${current} of the handle${room}, got ${dstRow} to ${dstRow + rows - 1}`);
    }
    const extent = Math.max(current, dstRow + rows);
    now = now.with(axis, extent);
    return { output, axis, rows, source, srcRow, dstRow, extent };
  });
}
