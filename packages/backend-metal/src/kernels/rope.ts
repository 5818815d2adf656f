import { dtypeCode, productOf } from "@rlxjs/ir";
import { numberAttr, type Operand, reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv, div, type Expr, mul } from "../expr.ts";
import { type Argument, constants, float, type Launch, type MetalKernel, read, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";

/** Heads that share a look into the table. */
const HEADS_PER_THREAD = 4;

/** RopeTable of shaders/rope.h: pairs of a head that turn, and rows of the table. */
export const ropeArguments = (table: Operand | undefined): Argument[] => [
  uint(table?.shape.at(-1) ?? 0),
  uint(productOf(table?.shape.slice(0, -1) ?? [])),
];

function ropeLaunch(step: Step): Launch {
  const [x, cosine, sine, out] = [input(step, 0), input(step, 1), input(step, 2), output(step)];
  const [batch = 0, tokens = 0, width = 0] = x.shape;
  const dim = numberAttr(step.attrs, "headDim");
  const half = Number(cosine.shape.at(-1));
  const heads: Expr = div(width, dim);
  return {
    shader: { file: "rope" },
    function: "rope",
    constants: constants(dtypeCode(x.dtype), dtypeCode(cosine.dtype), step.attrs.interleaved === true, HEADS_PER_THREAD),
    args: [uint(heads), uint(dim), ...ropeArguments(cosine)],
    buffers: [read(x), read(cosine), read(sine), write(out)],
    grid: { threads: [dim - half, ceilDiv(heads, HEADS_PER_THREAD), mul(batch, tokens)] },
    threadsPerThreadgroup: [32, 4, 2],
  };
}

function tableLaunch(step: Step): Launch {
  const [positions, frequencies] = [input(step, 0), input(step, 1)];
  const [cosine, sine] = [output(step, 0), output(step, 1)];
  const half = frequencies.shape[0] ?? 0;
  const scale = numberAttr(step.attrs, "scale");
  const high = Math.fround(scale);
  return {
    shader: { file: "rope_table" },
    function: "rope_table",
    constants: constants(dtypeCode(positions.dtype)),
    args: [uint(half), float(high), float(scale - high)],
    buffers: [read(positions), read(frequencies), write(cosine), write(sine)],
    grid: { threads: [half, productOf(positions.shape), 1] },
    threadsPerThreadgroup: [32, 8, 1],
  };
}

export const ropeKernels: readonly MetalKernel[] = [
  kernel("rope_table", { launches: (step) => [tableLaunch(step)] }),
  kernel("rope", { accepts: ({ inputs }) => reasons(hasF64(...inputs)), launches: (step) => [ropeLaunch(step)] }),
];
