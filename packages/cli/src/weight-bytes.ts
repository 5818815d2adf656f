import { dimMax } from "@rlxjs/ir";
import type { Operand, Program } from "@rlxjs/runtime";

const elements = (shape: Operand["shape"]): number => shape.reduce<number>((n, extent) => n * dimMax(extent), 1);

/**
 * Bytes of weights that one run of a program reads, at the upper bound of every extent: all of a matrix, but of a table of rows only the rows
 * that are looked up, and of stacked experts only those that are chosen.
 */
export function weightBytesRead({ buffers, steps }: Program): number {
  let sum = 0;
  for (const { op, inputs } of steps)
    for (const [slot, operand] of inputs.entries()) {
      const buffer = operand && buffers[operand.buffer];
      if (!operand || (buffer?.kind !== "weight" && buffer?.kind !== "constant")) continue;
      const rows = dimMax(operand.shape[0] ?? 1);
      const wanted = op === "embedding" && slot === 0 ? inputs[1] : op === "grouped_linear" && slot === 1 ? inputs[2] : undefined;
      sum += buffer.bytes * (wanted ? Math.min(1, elements(wanted.shape) / rows) : 1);
    }
  return Math.round(sum);
}
