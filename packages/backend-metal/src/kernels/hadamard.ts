import { productOf } from "@rlxjs/ir";
import { reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv } from "../expr.ts";
import { constants, float, type Launch, type MetalKernel, read, uint, write } from "../launch.ts";
import { input, kernel, output } from "./checks.ts";

/** Values of a row that fit into the registers of a simdgroup, and into threadgroup memory: shaders/hadamard.h, fwht.metal. */
const MOST_IN_REGISTERS = 512;
const MOST = 8192;
/** Simdgroups of a threadgroup, for short rows. */
const ROWS = 8;

/** Rows are so many runs of a power of two: 1, 12 or 20. */
export const hadamardOrder = (n: number): number => (Number.isInteger(Math.log2(n)) ? 1 : n % 5 === 0 ? 20 : 12);
/** What the transform of n values is multiplied by, an f32. */
export const rotationScale = (n: number): number => Math.fround(1 / Math.sqrt(n));

function launch(step: Step): Launch {
  const [x, out] = [input(step, 0), output(step)];
  const n = Number(out.shape.at(-1));
  const rows = productOf(out.shape.slice(0, -1));
  const { signs } = step.attrs;
  const short = n <= MOST_IN_REGISTERS;
  const threads = short ? 32 * ROWS : 32 * Math.ceil(n / MOST_IN_REGISTERS);
  const memory = short ? (hadamardOrder(n) > 1 ? 4 * ROWS * n : 16) : 4 * n;
  return {
    shader: { file: "fwht" },
    function: short ? "fwht" : "fwht_long",
    constants: constants(n, signs === "before", signs === "after"),
    args: [uint(rows), float(rotationScale(n))],
    buffers: [read(x), write(out)],
    threadgroupBytes: [memory],
    grid: { threadgroups: [short ? ceilDiv(rows, ROWS) : rows, 1, 1] },
    threadsPerThreadgroup: [threads, 1, 1],
  };
}

export const hadamardKernels: readonly MetalKernel[] = [
  kernel("fwht", {
    accepts: ({ inputs }) => {
      const n = Number(inputs[0]?.shape.at(-1));
      return reasons(n > MOST && `rows of ${n} values, at most ${MOST} are supported`);
    },
    launches: (step) => [launch(step)],
  }),
];
