import { productOf } from "@rlxjs/ir";
import { reasons } from "@rlxjs/runtime";
import { ceilDiv, mul } from "../expr.ts";
import { constants, type Launch, type MetalKernel, read, uint, write } from "../launch.ts";
import { hasF64 } from "./checks.ts";
import { convRoutine } from "./conv.ts";
import { groupedRoutine } from "./grouped.ts";
import { matmulRoutine } from "./matmul.ts";
import {
  type Call,
  finishedLaunch,
  MATVEC_THREADS,
  matvecColumns,
  notFloats,
  operandConstants,
  own,
  routineKernels,
  type Routine,
  rowChoices,
  TILE_COLUMNS,
  TILE_ROWS,
  TILE_THREADS,
} from "./routine.ts";

/** shaders/linear.metal. Weights of every stored form, which need not be constants. */
function launches(call: Call): readonly Launch[] {
  const [x, w, bias] = [own(call, 0), own(call, 1), call.inputs[2]];
  const [n = 1, k = 1] = w.shape;
  const rows = productOf(x.shape.slice(0, -1));
  const operands = operandConstants(x, w, k, call.out, bias);
  const shared = { args: [uint(rows), uint(n), uint(k)], buffers: [read(x), read(w), read(bias), write(call.out)] };
  return rowChoices(rows).map(({ xRows, when }) =>
    finishedLaunch(
      "linear",
      call,
      xRows === "tiles"
        ? {
            ...shared,
            function: "linear_tiles",
            constants: constants(...operands),
            grid: { threadgroups: [mul(when, ceilDiv(rows, TILE_ROWS)), ceilDiv(n, TILE_COLUMNS), 1] },
            threadsPerThreadgroup: [TILE_THREADS, 1, 1],
          }
        : {
            ...shared,
            function: "linear_rows",
            constants: constants(...operands, xRows),
            grid: { threadgroups: [mul(when, ceilDiv(n, matvecColumns(xRows))), 1, 1] },
            threadsPerThreadgroup: [MATVEC_THREADS, 1, 1],
          },
    ),
  );
}

const linearRoutine: Routine = {
  op: "linear",
  accepts: ({ inputs: [x, w, bias] }) => reasons(notFloats(x, bias), hasF64(w)),
  launches,
};

/** linear, grouped_linear, matmul and conv1d, alone and with a fused epilogue. */
export const linearKernels: readonly MetalKernel[] = routineKernels([linearRoutine, groupedRoutine, matmulRoutine, convRoutine]);
