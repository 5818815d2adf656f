import { type Dim, type DType, dtypeCode, isFloat, mulDims, productOf } from "@rlxjs/ir";
import { axisAttr, type NodeView, reasons, type Step } from "@rlxjs/runtime";
import { type Expr, max } from "../expr.ts";
import { constants, type Launch, type MetalKernel, read, readWrite, slot, status, uint, ulong, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { threadGrid } from "./grid.ts";
import { wrongIndex } from "./indices.ts";
import { lanesOf } from "./lanes.ts";
import { at, bytesLaunch, bytesOf, commonUnit, layoutOf, wholeDims } from "./region.ts";

/** x around the axis: [outer, extent, slice], where a slice is so many bytes. */
function slicesOf(step: Step): { outer: Dim; extent: Dim; slice: Dim } {
  const x = input(step, 0);
  const axis = axisAttr(step);
  const { unit, extents } = layoutOf(x);
  const { outer, length } = lanesOf(x, axis);
  return { outer, extent: length, slice: extents.slice(axis + 1).reduce(mulDims, unit) };
}

/** Indices are checked even where there is nothing to move. */
const atLeastOne = (e: Expr): Expr => max(e, 1);

function gather(step: Step): readonly Launch[] {
  const [x, indices, out] = [input(step, 0), input(step, 1), output(step)];
  const { outer, extent, slice } = slicesOf(step);
  const count = productOf(indices.shape);
  const unit = commonUnit(slice, x.offset, out.offset);
  const units = wholeDims(slice, unit);
  return [
    {
      shader: { file: "gather" },
      function: "gather",
      constants: constants(dtypeCode(indices.dtype), unit),
      args: [ulong(units), uint(outer), uint(extent), uint(count), slot],
      buffers: [read(x), read(indices), write(out), status("atomic")],
      ...threadGrid(atLeastOne(units), count, atLeastOne(outer)),
    },
  ];
}

const isSum = ({ attrs }: NodeView | Step): boolean => attrs.reduce === "add";

function scatter(step: Step): readonly Launch[] {
  const [x, indices, updates, out] = [input(step, 0), input(step, 1), input(step, 2), output(step)];
  const { outer, extent, slice } = slicesOf(step);
  const count = productOf(indices.shape);
  const add = isSum(step);
  const unit = add ? bytesOf({ ...x, shape: [] }) : commonUnit(slice, updates.offset, out.offset);
  const functionOf = (dtype: DType): string => (isFloat(dtype) || !add ? "scatter_float" : "scatter_int");
  return [
    bytesLaunch(bytesOf(x), at(x), at(out)),
    {
      shader: { file: "gather" },
      function: functionOf(x.dtype),
      constants: constants(dtypeCode(indices.dtype), Number(unit), add, dtypeCode(x.dtype)),
      args: [ulong(wholeDims(slice, Number(unit))), uint(outer), uint(extent), uint(count), slot],
      buffers: [read(updates), read(indices), readWrite(out), status("atomic")],
      grid: { threadgroups: [count, atLeastOne(outer), 1] },
      threadsPerThreadgroup: [32, 1, 1],
    },
  ];
}

/** shaders/gather.metal: every dtype as bytes; only sums compute. */
export const gatherKernels: readonly MetalKernel[] = [
  kernel("gather", { launches: gather, refusal: wrongIndex }),
  kernel("scatter", {
    accepts: (node) => reasons(isSum(node) && hasF64(...node.inputs)),
    launches: scatter,
    refusal: wrongIndex,
  }),
];
