import { type Dim, productOf } from "@rlxjs/ir";
import { reasons } from "@rlxjs/runtime";
import { ceilDiv, mul } from "../expr.ts";
import { constants, type Launch, read, uint, write } from "../launch.ts";
import { broadcastSpace } from "../msl/broadcast.ts";
import {
  type Call,
  finishedLaunch,
  MATVEC_THREADS,
  matvecColumns,
  notFloats,
  operandConstants,
  own,
  type Routine,
  rowChoices,
  TILE_COLUMNS,
  TILE_ROWS,
  TILE_THREADS,
} from "./routine.ts";

/** As in shaders/matmul.metal: columns and threads of a threadgroup of matmul_columns. */
const COLUMNS = 32;
const COLUMN_THREADS = 256;
/** Axes of the batch in its arguments, which other shapes are filled up to. */
const BATCH_AXES = 8;

/** One matrix on the right for all of them on the left: their rows follow each other as one matrix. */
const oneMatrix = (batch: readonly Dim[]): boolean => batch.every((d) => d === 1);

/** shaders/matmul.metal. */
function launches(call: Call): readonly Launch[] {
  const [x, w] = [own(call, 0), own(call, 1)];
  const { shape } = call.result;
  const transposed = call.attrs.transposeB === true;
  const k = x.shape.at(-1) ?? 1;
  const n = shape.at(-1) ?? 1;
  const folded = oneMatrix(w.shape.slice(0, -2));
  const rows = folded ? productOf(x.shape.slice(0, -1)) : (shape.at(-2) ?? 1);
  const batch = folded ? [] : shape.slice(0, -2);
  const matrices = productOf(batch);
  const leading = [x, w].map((t) => (folded ? [] : t.shape.slice(0, -2)));
  const operands = operandConstants(x, w, k, call.out);
  const shared = {
    args: [uint(rows), uint(n), uint(k), ...broadcastSpace(leading, batch, BATCH_AXES).args],
    buffers: [read(x), read(w), write(call.out)],
  };
  return rowChoices(rows).map(({ xRows, when }) => {
    const specialised = constants(...operands, xRows === "tiles" ? 1 : xRows, transposed, batch.length > 0);
    if (xRows === "tiles")
      return finishedLaunch("matmul", call, {
        ...shared,
        function: "matmul_tiles",
        constants: specialised,
        grid: { threadgroups: [mul(when, ceilDiv(rows, TILE_ROWS)), ceilDiv(n, TILE_COLUMNS), matrices] },
        threadsPerThreadgroup: [TILE_THREADS, 1, 1],
      });
    return finishedLaunch("matmul", call, {
      ...shared,
      function: transposed ? "matmul_rows" : "matmul_columns",
      constants: specialised,
      grid: { threadgroups: [mul(when, ceilDiv(n, transposed ? matvecColumns(xRows) : COLUMNS)), 1, matrices] },
      threadsPerThreadgroup: [transposed ? MATVEC_THREADS : COLUMN_THREADS, 1, 1],
    });
  });
}

export const matmulRoutine: Routine = {
  op: "matmul",
  accepts: ({ inputs }) => reasons(notFloats(...inputs)),
  launches,
};
