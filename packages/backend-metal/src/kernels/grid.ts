import { type Dim, dimMax, dtypes, isMultiple } from "@rlxjs/ir";
import type { Operand } from "@rlxjs/runtime";
import { ceilDiv, type Expr } from "../expr.ts";
import type { Launch } from "../launch.ts";

type Grid = Pick<Launch, "grid" | "threadsPerThreadgroup">;

/** Threads of a simdgroup. */
export const SIMDGROUP = 32;
const THREADS = 256;
const MOST_THREADS = 1024;

const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

/** No smaller than any value of an expression of extents that are not negative. */
function upperBound(e: Expr): number {
  if (typeof e === "number" || !("op" in e)) return dimMax(e);
  const [a, b] = [upperBound(e.a), upperBound(e.b)];
  if (e.op === "add") return a + b;
  if (e.op === "mul") return a * b;
  if (e.op === "max") return Math.max(a, b);
  if (e.op === "ceilDiv" && typeof e.b === "number") return Math.ceil(a / b);
  return a;
}

/** One thread per place; the shape of the threadgroups follows the grid's, from x on. */
export function threadGrid(x: Expr, y: Expr = 1, z: Expr = 1): Grid {
  const across = Math.min(THREADS, powerOfTwo(upperBound(x)));
  const down = Math.min(THREADS / across, powerOfTwo(upperBound(y)));
  const deep = Math.min(THREADS / across / down, powerOfTwo(upperBound(z)));
  return { grid: { threads: [x, y, z] }, threadsPerThreadgroup: [THREADS / down / deep, down, deep] };
}

/** Who works on a row: a simdgroup, several of which share a threadgroup, or (`wide`) a whole threadgroup. */
export interface Team extends Grid {
  readonly wide: boolean;
}

/** A team per row, of about one thread per `perThread` elements: rows up to 4 of them per lane take a simdgroup. */
export function teamGrid(rows: Expr, elements: Dim, perThread: number): Team {
  const threads = Math.ceil(dimMax(elements) / perThread / SIMDGROUP) * SIMDGROUP;
  if (threads > 4 * SIMDGROUP)
    return { wide: true, grid: { threadgroups: [rows, 1, 1] }, threadsPerThreadgroup: [Math.min(MOST_THREADS, threads), 1, 1] };
  const together = Math.min(THREADS / SIMDGROUP, Math.max(1, upperBound(rows)));
  return { wide: false, grid: { threadgroups: [ceilDiv(rows, together), 1, 1] }, threadsPerThreadgroup: [together * SIMDGROUP, 1, 1] };
}

/** Whether rows of n elements are whole quads, and every operand lies at a multiple of the size of four of its elements. */
export const inQuads = (n: Dim, ...operands: readonly (Operand | undefined)[]): boolean =>
  isMultiple(n, 4) && operands.every((o) => !o || isMultiple(o.offset, 4 * dtypes[o.dtype].blockBytes));
