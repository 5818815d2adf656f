import { dimMax, dimMin, dtypeCode, mulDims, productOf, type TensorType } from "@rlxjs/ir";
import { reasons } from "@rlxjs/runtime";
import { add, atLeast, ceilDiv, div, type Expr, max, min, mul, sub } from "../expr.ts";
import { constants, type Launch, read, scratch, slot, status, uint, write } from "../launch.ts";
import type { Finished } from "../msl/epilogue.ts";
import { hasF64 } from "./checks.ts";
import {
  type Call,
  finishedLaunch,
  MATVEC_THREADS,
  matvecColumns,
  notFloats,
  operandConstants,
  own,
  type Routine,
  TILE_COLUMNS,
  TILE_ROWS,
  TILE_THREADS,
} from "./routine.ts";

/**
 * Places (pairs of a token and one of its experts) up to which each of them is a product of its own: beyond, experts have two places and
 * more on average, and ordering them reads every expert's weights once.
 */
const fewPlaces = (experts: Expr): Expr => max(8, mul(2, experts));

/** Bytes of the lists of shaders/grouped.metal at the upper bounds of extents: where experts begin, then places by expert; none if places are always few. */
function lists(node: Finished<TensorType>): { readonly begins: number; readonly order: number } | undefined {
  const [experts] = own(node, 1).shape;
  const places = dimMax(productOf(own(node, 2).shape));
  if (places <= Math.max(8, 2 * dimMin(experts ?? 0))) return undefined;
  return { begins: Math.ceil((4 * (dimMax(experts ?? 0) + 1)) / 64) * 64, order: 4 * places };
}

/** shaders/grouped.metal. */
function launches(call: Call): readonly Launch[] {
  const [x, w, experts] = [own(call, 0), own(call, 1), own(call, 2)];
  const [count = 1, n = 1, k = 1] = w.shape;
  const [, chosen = 1] = experts.shape;
  const places = productOf(experts.shape);
  const many = atLeast(places, add(fewPlaces(count), 1));
  const specialised = constants(...operandConstants(x, w, k, call.out), 1, dtypeCode(experts.dtype));
  const args = [uint(places), uint(x.shape.length === 2 ? chosen : 1), uint(count), uint(n), uint(k), slot];
  const alone = finishedLaunch("grouped", call, {
    function: "grouped_rows",
    constants: specialised,
    args,
    buffers: [read(x), read(w), read(experts), status("atomic"), write(call.out)],
    grid: { threadgroups: [mul(sub(1, many), ceilDiv(n, matvecColumns(1))), places, 1] },
    threadsPerThreadgroup: [MATVEC_THREADS, 1, 1],
  });
  const bytes = lists(call);
  if (!bytes) return [alone];
  const tiles = finishedLaunch("grouped", call, {
    function: "grouped_tiles",
    constants: specialised,
    args,
    buffers: [read(x), read(w), scratch("read", 0, bytes.begins), scratch("read", bytes.begins, bytes.order), write(call.out)],
    grid: { threadgroups: [mul(many, add(div(places, TILE_ROWS), min(count, places))), ceilDiv(n, TILE_COLUMNS), 1] },
    threadsPerThreadgroup: [TILE_THREADS, 1, 1],
  });
  const order: Launch = {
    shader: tiles.shader,
    function: "order_places",
    constants: tiles.constants,
    args: [uint(places), uint(count), slot],
    buffers: [read(experts), status("atomic"), scratch("write", 0, bytes.begins), scratch("write", bytes.begins, bytes.order)],
    grid: { threadgroups: [mul(mul(many, min(1, n)), max(1, count)), 1, 1] },
    threadsPerThreadgroup: [32, 1, 1],
  };
  return dimMin(places) > dimMax(mulDims(2, count)) && dimMin(places) > 8 ? [order, tiles] : [alone, order, tiles];
}

export const groupedRoutine: Routine = {
  op: "grouped_linear",
  accepts: ({ inputs: [x, w] }) => reasons(notFloats(x), hasF64(w)),
  scratchBytes: (node) => {
    const { begins, order } = lists(node) ?? { begins: 0, order: 0 };
    return begins + order;
  },
  launches,
};
