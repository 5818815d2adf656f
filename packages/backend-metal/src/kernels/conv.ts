import { dimMax, productOf } from "@rlxjs/ir";
import { numberAttr, reasons } from "@rlxjs/runtime";
import { ceilDiv, div, mul } from "../expr.ts";
import { constants, type Launch, read, uint, write } from "../launch.ts";
import { threadGrid } from "./grid.ts";
import {
  type Call,
  finishedLaunch,
  notFloats,
  operandConstants,
  own,
  type Routine,
  TILE_COLUMNS,
  TILE_ROWS,
  TILE_THREADS,
} from "./routine.ts";

/** Outputs of a group from which on tiles of 32 pay. */
const TILED_OUTPUTS = 8;

/** shaders/conv.metal. */
function launches(call: Call): readonly Launch[] {
  const [x, w, bias] = [own(call, 0), own(call, 1), call.inputs[2]];
  const [images = 1, channels = 1, length = 1] = x.shape;
  const [outputs = 1, depth = 1, taps = 1] = w.shape;
  const positions = call.result.shape[2] ?? 1;
  const [stride, padding, dilation, groups] = ["stride", "padding", "dilation", "groups"].map((name) => numberAttr(call.attrs, name));
  const shared = {
    constants: constants(...operandConstants(x, w, productOf([depth, taps]), call.out, bias)),
    args: [channels, length, outputs, positions, depth, taps, stride ?? 1, padding ?? 0, dilation ?? 1, groups ?? 1].map(uint),
    buffers: [read(x), read(w), read(bias), write(call.out)],
  };
  const perGroup = div(outputs, groups ?? 1);
  return [
    finishedLaunch(
      "conv",
      call,
      dimMax(outputs) < TILED_OUTPUTS * (groups ?? 1)
        ? { ...shared, function: "conv1d_direct", ...threadGrid(positions, outputs, images) }
        : {
            ...shared,
            function: "conv1d_tiles",
            grid: { threadgroups: [ceilDiv(positions, TILE_COLUMNS), ceilDiv(perGroup, TILE_ROWS), mul(images, groups ?? 1)] },
            threadsPerThreadgroup: [TILE_THREADS, 1, 1],
          },
    ),
  ];
}

export const convRoutine: Routine = {
  op: "conv1d",
  accepts: ({ inputs }) => reasons(notFloats(...inputs)),
  launches,
};
