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
export function upperBound(e: Expr): number {
  if (typeof e === "number" || !("op" in e)) return dimMax(e);
  const [a, b] = [upperBound(e.a), upperBound(e.b)];
  if (e.op === "add") return a + b;
  if (e.op === "mul") return a * b;
  if (e.op === "max") return Math.max(a, b);
  if (typeof e.b === "number" && (e.op === "ceilDiv" || e.op === "div")) return e.op === "div" ? Math.floor(a / b) : Math.ceil(a / b);
  return a;
}

/** One thread per place; the shape of the threadgroups follows the grid's, from x on. */
export function threadGrid(x: Expr, y: Expr = 1, z: Expr = 1): Grid {
  const across = Math.min(THREADS, powerOfTwo(upperBound(x)));
  const down = Math.min(THREADS / across, powerOfTwo(upperBound(y)));
  const deep = Math.min(THREADS / across / down, powerOfTwo(upperBound(z)));
  return { grid: { threads: [x, y, z] }, threadsPerThreadgroup: [THREADS / down / deep, down, deep] };
}

/** Who shares a piece of work, as TeamKind of shaders/teams.h has it. */
export const teams = { thread: 0, simdgroup: 1, threadgroup: 2 } as const;
export interface TeamGrid extends Grid {
  readonly team: (typeof teams)[keyof typeof teams];
}

/** A team per piece of work, of `threads` or a few more or less; `parts` teams where the work is split. */
export function teamGrid(work: Expr, threads: number, parts: Expr = 1): TeamGrid {
  if (threads > 4 * SIMDGROUP) {
    const whole = Math.min(MOST_THREADS, Math.ceil(threads / SIMDGROUP) * SIMDGROUP);
    return { team: teams.threadgroup, grid: { threadgroups: [work, parts, 1] }, threadsPerThreadgroup: [whole, 1, 1] };
  }
  const [team, each] = threads > 1 ? ([teams.simdgroup, SIMDGROUP] as const) : ([teams.thread, 1] as const);
  const together = Math.min(THREADS, Math.ceil((upperBound(work) * each) / SIMDGROUP) * SIMDGROUP || SIMDGROUP) / each;
  return { team, grid: { threadgroups: [ceilDiv(work, together), parts, 1] }, threadsPerThreadgroup: [together * each, 1, 1] };
}

/** Threads for a row that is worked on in quads. */
export const quadThreads = (n: Expr): number => Math.ceil(upperBound(n) / 4);

/** Whether rows of n elements are whole quads, and every operand lies at a multiple of the size of four of its elements. */
export const inQuads = (n: Dim, ...operands: readonly (Operand | undefined)[]): boolean =>
  isMultiple(n, 4) && operands.every((o) => !o || isMultiple(o.offset, 4 * dtypes[o.dtype].blockBytes));

/** Elements that one threadgroup looks at where a row has many more of them, such as the logits of a vocabulary, and there are few rows. */
export const PART = 8192;
export const isSplit = (rows: Expr, elements: Expr): boolean => upperBound(elements) >= 2 * PART && upperBound(rows) <= 64;
