import { addDims, type Dim, dimEquals, dimMax, divDims, dtypes, isMultiple, mulDims, subDims, type TensorType } from "@rlxjs/ir";
import type { Operand } from "@rlxjs/runtime";
import { ceilDiv, product } from "../expr.ts";
import { type Argument, constants, type Launch, read, status, uint, ulong, write } from "../launch.ts";
import { threadGrid } from "./grid.ts";

/** One axis of a copy; strides in bytes. */
export interface Axis {
  readonly extent: Dim;
  readonly from: Dim;
  readonly to: Dim;
}
/** Where a copy begins: an operand, and bytes from its own beginning. */
export interface Place {
  readonly operand: Operand;
  readonly offset: Dim;
}
export const at = (operand: Operand, offset: Dim = 0): Place => ({ operand, offset });

/** A tensor in units (elements, or blocks along the last axis), with row-major strides in bytes. */
export interface Layout {
  readonly unit: number;
  readonly extents: readonly Dim[];
  readonly strides: readonly Dim[];
}
export function layoutOf({ dtype, shape }: TensorType): Layout {
  const { blockSize, blockBytes: unit } = dtypes[dtype];
  const extents = shape.map((d, i) => (i === shape.length - 1 ? wholeDims(d, blockSize) : d));
  const strides = new Array<Dim>(shape.length).fill(unit);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = mulDims(strides[i + 1] ?? unit, extents[i + 1] ?? 1);
  return { unit, extents, strides };
}
/** a / n, which has no rest. */
export function wholeDims(a: Dim, n: number): Dim {
  const quotient = n === 1 || a === 0 ? a : divDims(a, n);
  if (quotient === undefined) throw new TypeError(`expected a multiple of ${n}, got ${a}`);
  return quotient;
}
export const bytesOf = ({ dtype, shape }: TensorType): Dim => {
  const { unit, extents } = layoutOf({ dtype, shape });
  return extents.reduce(mulDims, unit);
};

/** The largest unit of bytes that divides all of these, of those that move at once. */
export const commonUnit = (...sizes: readonly Dim[]): number => [16, 8, 4, 2].find((u) => sizes.every((d) => isMultiple(d, u))) ?? 1;

/** Axes that are contiguous on both sides become one; those of one element go. */
function simplify(axes: readonly Axis[]): Axis[] {
  const out: Axis[] = [];
  for (const axis of axes) {
    const last = out.at(-1);
    if (axis.extent === 1) continue;
    if (last && dimEquals(last.from, mulDims(axis.from, axis.extent)) && dimEquals(last.to, mulDims(axis.to, axis.extent)))
      out[out.length - 1] = { ...axis, extent: mulDims(last.extent, axis.extent) };
    else out.push(axis);
  }
  return out;
}

/** Copies `unit` bytes at every place of the axes, which go from the outermost of the target to the innermost. */
export function regionLaunch(unit: number, axes: readonly Axis[], from: Place, to: Place): Launch {
  const kept = simplify(axes);
  const last = kept.at(-1);
  const contiguous = last !== undefined && last.from === unit && last.to === unit;
  const run = contiguous ? mulDims(last.extent, unit) : unit;
  if (contiguous) kept.pop();
  if (kept.length === 0) return bytesLaunch(run, from, to);

  const offsets = [from, to].map((p) => addDims(p.operand.offset, p.offset));
  const moved = commonUnit(run, ...offsets, ...kept.flatMap((a) => [a.from, a.to]));
  if (run !== moved) kept.push({ extent: wholeDims(run, moved), from: moved, to: moved });
  const turned = innermostSource(kept, moved);
  const ordered = turned < 0 ? kept : [...kept.toSpliced(turned, 1).slice(0, -1), ...kept.slice(turned, turned + 1), ...kept.slice(-1)];
  const span = (side: "from" | "to"): Dim => kept.reduce<Dim>((sum, a) => addDims(sum, mulDims(subDims(a.extent, 1), a[side])), moved);
  const args: Argument[] = [
    ...padded(
      ordered.map((a) => ulong(wholeDims(a.from, moved))),
      ulong(0),
    ),
    ...padded(
      ordered.map((a) => ulong(wholeDims(a.to, moved))),
      ulong(0),
    ),
    ...padded(
      ordered.map((a) => uint(a.extent)),
      uint(0),
    ),
  ];
  const [columns = 1, rows = 1, ...others] = ordered.map((a) => a.extent).reverse();
  const tiles = {
    grid: { threadgroups: [ceilDiv(columns, TILE), ceilDiv(rows, TILE), product(others)] },
    threadsPerThreadgroup: [TILE, 8, 1],
  } as const;
  return {
    shader: { file: "copy" },
    function: turned < 0 ? "copy_region" : `copy_tiles_${moved}`,
    constants: constants(moved, false, ordered.length),
    args,
    buffers: [
      read(from.operand, { offset: from.offset, bytes: span("from") }),
      write(to.operand, { offset: to.offset, bytes: span("to") }),
    ],
    ...(turned < 0 ? threadGrid(columns, rows, product(others)) : tiles),
  };
}

const TILE = 32;
/** The axis that is contiguous in the source, when it is not the target's and tiles of both are worth it; else -1. */
function innermostSource(axes: readonly Axis[], unit: number): number {
  const last = axes.at(-1);
  const large = (a: Axis): boolean => dimMax(a.extent) >= TILE / 2;
  if (!last || last.to !== unit || last.from === unit || unit > 8 || !large(last)) return -1;
  return axes.findIndex((a) => a.from === unit && large(a));
}

/** Arguments of an array of 8 in the struct of a shader. */
export const padded = (list: readonly Argument[], filler: Argument): Argument[] => [
  ...list,
  ...new Array<Argument>(8 - list.length).fill(filler),
];

/** Bytes as they are. `state`: nothing is written when an earlier step has refused its operands. */
export function bytesLaunch(bytes: Dim, from: Place, to: Place, state = false): Launch {
  const unit = commonUnit(...[from, to].map((p) => addDims(p.operand.offset, p.offset)));
  return {
    shader: { file: "copy" },
    function: "copy_bytes",
    constants: constants(unit, state, 0),
    args: [ulong(bytes)],
    buffers: [
      read(from.operand, { offset: from.offset, bytes }),
      write(to.operand, { offset: to.offset, bytes }),
      state ? status("read") : { kind: "none" },
    ],
    ...threadGrid(ceilDiv(bytes, unit)),
  };
}
