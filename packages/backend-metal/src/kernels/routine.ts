import { type Dim, dimMax, dimMin, dtypeCode, isFloat, type TensorType } from "@rlxjs/ir";
import { type Operand, type OperandView, reasons } from "@rlxjs/runtime";
import { atLeast, type Expr, mul, sub } from "../expr.ts";
import type { Launch, MetalKernel } from "../launch.ts";
import { type EpilogueParts, epilogueParts, type Finished, finished, finishedNode, unfinishable } from "../msl/epilogue.ts";
import { hasF64, kernel, output } from "./checks.ts";
import { inQuads } from "./grid.ts";
import { wrongIndex } from "./indices.ts";

/** A step as its routine sees it, with what it writes. */
export interface Call extends Finished<Operand> {
  readonly out: Operand;
}

/** A routine of linear algebra; an epilogue may finish its results. */
export interface Routine {
  readonly op: string;
  accepts(node: Finished<OperandView>): true | string;
  scratchBytes?(node: Finished<OperandView>): number;
  launches(call: Call): readonly Launch[];
}

/** A launch of `file` whose results the call's epilogue finishes: its operands are bound behind the launch's own. */
export function finishedLaunch(file: string, call: Call, launch: Omit<Launch, "shader">): Launch {
  const { prelude, args, buffers }: EpilogueParts = epilogueParts(call, launch.buffers.length + 1);
  return {
    shader: prelude === undefined ? { file } : { file, prelude },
    ...launch,
    args: [...launch.args, ...args],
    buffers: [...launch.buffers, ...buffers],
  };
}

/** Metal has 31 buffer indices; routines need up to 6 of them for themselves. */
const maxOperands = 24;

const acceptsFinished = (routine: Routine, node: Finished<OperandView>, outputs: readonly TensorType[]): true | string => {
  const accepted = routine.accepts(node);
  const { operands = [] } = node.epilogue ?? {};
  return reasons(
    accepted !== true && accepted,
    unfinishable(node, outputs),
    operands.length > maxOperands && `an epilogue with more than ${maxOperands} operands`,
  );
};

/** Kernels of the routines' ops, and one that takes each of them with an epilogue. */
export function routineKernels(routines: readonly Routine[]): readonly MetalKernel[] {
  const byOp = new Map(routines.map((r) => [r.op, r]));
  const routineOf = (op: string): Routine => {
    const routine = byOp.get(op);
    if (!routine) throw new TypeError(`with_epilogue: not accepted: an epilogue of ${op}`);
    return routine;
  };
  const make = (op: string): MetalKernel =>
    kernel(op, {
      accepts: (node) => {
        const inner = finishedNode(node);
        const routine = byOp.get(inner.op);
        return routine ? acceptsFinished(routine, inner, node.outputs) : `an epilogue of ${inner.op}`;
      },
      scratchBytes: (node) => {
        const inner = finishedNode(node);
        return routineOf(inner.op).scratchBytes?.(inner) ?? 0;
      },
      launches: (step) => {
        const inner = finished(step);
        return routineOf(inner.op).launches({ ...inner, out: output(step) });
      },
      // Of routines only grouped_linear refuses anything: experts.
      refusal: wrongIndex,
    });
  return [...byOp.keys(), "with_epilogue"].map(make);
}

/** Operand `slot` of a routine, which its op always has. */
export function own<T>({ op, inputs }: Finished<T>, slot: number): T {
  const operand = inputs[slot];
  if (operand === undefined) throw new TypeError(`${op}: expected an operand in slot ${slot}`);
  return operand;
}

/** Why these cannot be multiplied; undefined when they can. */
export const notFloats = (...operands: readonly (TensorType | undefined)[]): string | undefined => {
  const bad = operands.find((t) => t && !isFloat(t.dtype));
  return hasF64(...operands) ?? (bad && `an operand of dtype ${bad.dtype}`);
};

const code = (operand: Operand | undefined): number => dtypeCode(operand?.dtype ?? "f32");
/** Function constants 0 to 6: see shaders/linear.h. */
export const operandConstants = (x: Operand, w: Operand, k: Dim, out: Operand, bias?: Operand): (number | boolean)[] => [
  ...[x, w, out].map(code),
  inQuads(k, x),
  inQuads(k, w),
  bias !== undefined,
  code(bias),
];

/** A kernel for so many rows of x: `xRows` at once in one simdgroup, or tiles. `when`: 1 where it is the one for the extents of a run, else 0. */
export interface RowChoice {
  readonly xRows: number | "tiles";
  readonly when: Expr;
}
/** Up to so many rows a product is bound by the bandwidth of its weights, and matrix-vector kernels are faster than half-empty tiles. */
const widths = [1, 4, 8];
const MOST_ROWS = 8;

/** The kernels for a number of rows that may be symbolic: what its bounds exclude is not there. */
export function rowChoices(rows: Dim): readonly RowChoice[] {
  const [least, most] = [dimMin(rows), dimMax(rows)];
  const few = widths.map((xRows, i): RowChoice & { low: number; high: number } => {
    const low = (widths[i - 1] ?? 0) + 1;
    return { xRows, low, high: xRows, when: mul(atLeast(rows, low), sub(1, atLeast(rows, xRows + 1))) };
  });
  const many = { xRows: "tiles" as const, low: MOST_ROWS + 1, high: Number.POSITIVE_INFINITY, when: atLeast(rows, MOST_ROWS + 1) };
  return [...few, many].filter(({ low, high }) => most >= low && least <= high);
}

/** As in shaders/matvec.h: columns of a threadgroup of two simdgroups. */
export const matvecColumns = (xRows: number): number => (xRows > 4 ? 4 : 8);
export const MATVEC_THREADS = 64;
/** As in shaders/tiles.h. */
export const TILE_ROWS = 32;
export const TILE_COLUMNS = 64;
export const TILE_THREADS = 128;
