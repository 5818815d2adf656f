import { type Dim, type DType, dtypeCode, isFloat, mulDims } from "@rlxjs/ir";
import { axisAttr, flagAttr, listAttr, type NodeView, type Operand, reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv, type Expr, mul, product } from "../expr.ts";
import {
  type Argument,
  type BufferArgument,
  constants,
  type Launch,
  type MetalKernel,
  read,
  scratch,
  uint,
  ulong,
  write,
} from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { isSplit, PART, teamGrid, upperBound } from "./grid.ts";
import { lanesOf } from "./lanes.ts";

/** As FoldKind of shaders/reduce.metal has them. */
const folds = { reduce_sum: 0, reduce_mean: 0, reduce_prod: 1, reduce_max: 2, reduce_min: 3 } as const;

interface Axis {
  readonly extent: Expr;
  /** In elements. */
  readonly stride: Expr;
}
/** What results are made of: axes that are kept and axes that are not, from the outermost on, neighbours of a kind joined. */
interface Reduction {
  readonly kept: readonly Axis[];
  readonly reduced: readonly Axis[];
  /** The innermost axis is one of those that are not kept. */
  readonly alongMemory: boolean;
}
const extentOf = (axes: readonly Axis[]): Expr => product(axes.map((a) => a.extent));

function reductionOf(shape: readonly Dim[], axes: readonly number[]): Reduction {
  const given = new Set(axes.map((a) => (a < 0 ? a + shape.length : a)));
  const joined: { extent: Dim; readonly stride: Dim; readonly reduced: boolean }[] = [];
  let stride: Dim = 1;
  for (const [i, extent] of [...shape.entries()].reverse()) {
    const reduced = given.has(i);
    const inner = joined[0];
    if (extent === 1) continue;
    if (inner?.reduced === reduced) inner.extent = mulDims(inner.extent, extent);
    else joined.unshift({ extent, stride, reduced });
    stride = mulDims(stride, extent);
  }
  return {
    kept: joined.filter((a) => !a.reduced),
    reduced: joined.filter((a) => a.reduced),
    alongMemory: joined.at(-1)?.reduced ?? false,
  };
}

/** Threads for a result: neighbours read neighbouring elements, so many results of strided terms take a thread each. */
function threadsFor({ kept, reduced, alongMemory }: Reduction): number {
  const terms = upperBound(extentOf(reduced));
  const alone = alongMemory ? terms <= 8 : terms <= 32 || upperBound(extentOf(kept)) >= 2048;
  return alone ? 1 : Math.ceil(terms / 4);
}

/** Elements are `dtype` in a buffer. */
interface Typed {
  readonly dtype: DType;
  readonly buffer: BufferArgument;
}
interface Pass {
  readonly fold: number;
  readonly reduction: Reduction;
  readonly x: Typed;
  readonly out: Typed;
  /** Terms that one team folds; the results of the parts are neighbours in `out`. */
  readonly part?: number;
  /** What results are divided by. */
  readonly count?: Expr | undefined;
}
function pass({ fold, reduction, x, out, part, count }: Pass): Launch {
  const { kept, reduced } = reduction;
  const [outputs, terms] = [extentOf(kept), extentOf(reduced)];
  const parts = part === undefined ? 1 : ceilDiv(terms, part);
  const four = (axes: readonly Axis[], of: (a: Axis) => Argument): Argument[] =>
    Array.from({ length: 4 }, (_, i) => of(axes[i] ?? { extent: 1, stride: 0 }));
  const { team, ...grid } = teamGrid(outputs, threadsFor(reduction), parts);
  return {
    shader: { file: "reduce" },
    function: isFloat(x.dtype) ? "reduce_float" : "reduce_int",
    constants: constants(team, dtypeCode(x.dtype), dtypeCode(out.dtype), fold, count !== undefined, kept.length, reduced.length),
    args: [
      ...[kept, reduced].flatMap((axes) => four(axes, (a) => ulong(a.stride))),
      ...[kept, reduced].flatMap((axes) => four(axes, (a) => uint(a.extent))),
      ...[outputs, terms, part ?? terms, parts, count ?? 1].map(uint),
    ],
    buffers: [x.buffer, out.buffer],
    ...grid,
  };
}

/** Bytes of partial results, f32 or i64; 0: there is one pass. */
function partialBytes({ kept, reduced }: Reduction): Expr {
  const [outputs, terms] = [extentOf(kept), extentOf(reduced)];
  return isSplit(outputs, terms) ? mul(mul(outputs, ceilDiv(terms, PART)), 8) : 0;
}
const reductionOfNode = ({ attrs, inputs }: NodeView | Step): Reduction => reductionOf(inputs[0]?.shape ?? [], listAttr(attrs, "axes"));

const reduce =
  (op: keyof typeof folds) =>
  (step: Step): readonly Launch[] => {
    const reduction = reductionOfNode(step);
    const typed = (operand: Operand, buffer: BufferArgument): Typed => ({ dtype: operand.dtype, buffer });
    const [x, out] = [typed(input(step, 0), read(input(step, 0))), typed(output(step), write(output(step)))];
    const terms = extentOf(reduction.reduced);
    const [fold, count] = [folds[op], op === "reduce_mean" ? terms : undefined];
    const bytes = partialBytes(reduction);
    if (bytes === 0) return [pass({ fold, reduction, x, out, count })];
    const dtype = isFloat(x.dtype) ? "f32" : "i64";
    const parts = ceilDiv(terms, PART);
    const merge: Reduction = {
      kept: [{ extent: extentOf(reduction.kept), stride: parts }],
      reduced: [{ extent: parts, stride: 1 }],
      alongMemory: true,
    };
    return [
      pass({ fold, reduction, x, out: { dtype, buffer: scratch("write", 0, bytes) }, part: PART }),
      pass({ fold, reduction: merge, x: { dtype, buffer: scratch("read", 0, bytes) }, out, count }),
    ];
  };

function cumsum(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const { outer, length, inner } = lanesOf(x, axisAttr(step));
  const lanes = mulDims(outer, inner);
  // Lanes that lie beside each other are read along memory by a thread each, where there are many.
  const { team, ...grid } = teamGrid(lanes, inner !== 1 && upperBound(lanes) >= 2048 ? 1 : Math.min(256, upperBound(length)));
  return [
    {
      shader: { file: "scan" },
      function: isFloat(x.dtype) ? "scan_float" : "scan_int",
      constants: constants(team, dtypeCode(x.dtype), flagAttr(step.attrs, "exclusive") === 1, flagAttr(step.attrs, "reverse") === 1),
      args: [uint(lanes), uint(length), uint(inner)],
      buffers: [read(x), write(out)],
      ...grid,
    },
  ];
}

const noF64 = ({ inputs }: NodeView): true | string => reasons(hasF64(...inputs));

/** shaders/reduce.metal and scan.metal: every numeric dtype that Metal has. */
export const reduceKernels: readonly MetalKernel[] = [
  ...(Object.keys(folds) as (keyof typeof folds)[]).map((op) =>
    kernel(op, { accepts: noF64, scratchBytes: (node) => upperBound(partialBytes(reductionOfNode(node))), launches: reduce(op) }),
  ),
  kernel("cumsum", { accepts: noF64, launches: cumsum }),
];
