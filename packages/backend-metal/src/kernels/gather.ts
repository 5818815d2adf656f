import { type Dim, dtypeCode, mulDims } from "@rlxjs/ir";
import { axisAttr, type Step } from "@rlxjs/runtime";
import { type Expr, max, product } from "../expr.ts";
import { constants, type Launch, type MetalKernel, read, slot, status, uint, ulong, write } from "../launch.ts";
import { input, kernel, output } from "./checks.ts";
import { threadGrid } from "./grid.ts";
import { wrongIndex } from "./indices.ts";
import { commonUnit, layoutOf, wholeDims } from "./region.ts";

/** x around an axis: [outer, extent, slice], where a slice is so many bytes. */
function around(step: Step): { outer: Expr; extent: Dim; slice: Dim } {
  const x = input(step, 0);
  const axis = axisAttr(step);
  const { unit, extents } = layoutOf(x);
  return { outer: product(x.shape.slice(0, axis)), extent: x.shape[axis] ?? 1, slice: extents.slice(axis + 1).reduce(mulDims, unit) };
}

function gather(step: Step): readonly Launch[] {
  const [x, indices, out] = [input(step, 0), input(step, 1), output(step)];
  const { outer, extent, slice } = around(step);
  const count = product(indices.shape);
  const unit = commonUnit(slice, x.offset, out.offset);
  const units = wholeDims(slice, unit);
  return [
    {
      shader: { file: "gather" },
      function: "gather",
      constants: constants(dtypeCode(indices.dtype), unit),
      args: [ulong(units), uint(outer), uint(extent), uint(count), slot],
      buffers: [read(x), read(indices), write(out), status("atomic")],
      // Indices are checked even where there is nothing to move.
      ...threadGrid(max(units, 1), count, max(outer, 1)),
    },
  ];
}

/** shaders/gather.metal. */
export const gatherKernels: readonly MetalKernel[] = [kernel("gather", { launches: gather, refusal: wrongIndex })];
