import { type Dim, dimMax, mulDims, productOf } from "@rlxjs/ir";
import type { Expr } from "../expr.ts";
import { type Argument, uint } from "../launch.ts";

/** Elements are counted in 32 bits, with room for one step of all threads behind the last one. */
const maxElements = 2 ** 31;
/** Why a result cannot be an index space; undefined when it can. */
export const tooManyElements = (shape: readonly Dim[]): string | undefined =>
  dimMax(productOf(shape)) > maxElements ? `more than ${maxElements} elements` : undefined;

/** Operands in the index space of a result, as `Broadcast` of shaders/broadcast.h has it. */
export interface BroadcastSpace {
  /** Its type, such as `Broadcast<2, 4>`: one axis, or a power of two of them, so that few texts serve all shapes. */
  readonly type: string;
  readonly args: readonly Argument[];
}

interface Axis {
  readonly extent: Dim;
  /** Operands that advance along it; the others are broadcast. */
  readonly advancing: readonly boolean[];
}

/** Axes of `shape`, neighbours joined where every operand either walks both or none of them. */
function joinedAxes(operands: readonly (readonly Dim[])[], shape: readonly Dim[]): Axis[] {
  const axes: Axis[] = [];
  for (const [i, extent] of shape.entries()) {
    if (extent === 1) continue;
    const advancing = operands.map((o) => (o[i - (shape.length - o.length)] ?? 1) !== 1);
    const last = axes.at(-1);
    if (last?.advancing.every((a, k) => a === advancing[k])) axes[axes.length - 1] = { extent: mulDims(last.extent, extent), advancing };
    else axes.push({ extent, advancing });
  }
  return axes;
}

/** How operands (at least one, in the type at least) are broadcast to `shape`, right-aligned, in at least so many axes. */
export function broadcastSpace(operands: readonly (readonly Dim[])[], shape: readonly Dim[], leastAxes = 1): BroadcastSpace {
  const axes = joinedAxes(operands, shape);
  let rank = leastAxes;
  while (rank < axes.length) rank *= 2;
  const filled = [...Array.from({ length: rank - axes.length }, (): Axis => ({ extent: 1, advancing: [] })), ...axes];
  const count = Math.max(1, operands.length);
  const stride = (operand: number, axis: number): Expr =>
    filled[axis]?.advancing[operand] ? productOf(filled.slice(axis + 1).flatMap((a) => (a.advancing[operand] ? [a.extent] : []))) : 0;
  const strides = Array.from({ length: count }, (_, k) => filled.map((_axis, a) => stride(k, a)));
  return {
    type: `Broadcast<${count}, ${rank}>`,
    args: [productOf(shape), ...filled.map((a) => a.extent), ...strides.flat()].map(uint),
  };
}
