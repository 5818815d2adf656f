import { opByName } from "@rlxjs/ir";
import type { Program, ProgramBuffer } from "./program.ts";

export interface MemoryReport {
  /** Bytes of the arena that all temporaries share: the peak over the run. */
  readonly arenaBytes: number;
  /** What the temporaries would take without sharing. */
  readonly temporaryBytes: number;
  readonly weightBytes: number;
  readonly stateBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** Every temporary: the step that makes it, the last step that uses it, and where it lies. */
  readonly temporaries: readonly {
    readonly op: string;
    readonly bytes: number;
    readonly offset: number;
    readonly from: number;
    readonly to: number;
  }[];
}

/** Bytes at the upper bound of every extent. Weights are counted as the program reads them, shared or not. */
export function memoryReport(program: Program): MemoryReport {
  const sum = (...kinds: ProgramBuffer["kind"][]): number =>
    program.buffers.reduce((n, b) => (kinds.includes(b.kind) ? n + b.bytes : n), 0);
  const uses = new Map<number, { readonly op: string; readonly from: number; readonly to: number }>();
  for (const [step, { op, inputs, outputs }] of program.steps.entries())
    for (const operand of [...inputs, ...outputs])
      if (operand) uses.set(operand.buffer, { op, from: step, ...uses.get(operand.buffer), to: step });
  const temporaries = program.buffers.flatMap((b, index) => {
    const use = uses.get(index);
    return b.kind === "arena" && use ? [{ op: use.op, bytes: b.bytes, offset: b.offset, from: use.from, to: use.to }] : [];
  });
  return {
    arenaBytes: program.arenaBytes,
    temporaryBytes: sum("arena"),
    weightBytes: sum("weight", "constant"),
    stateBytes: sum("state"),
    inputBytes: sum("input"),
    outputBytes: sum("output"),
    temporaries,
  };
}

/** Steps that only move the bytes of a state elsewhere: a decode program has none. */
export const countStateCopies = (program: Program): number =>
  program.steps.filter(({ op, inputs }) => {
    const { traits } = opByName(op);
    const moves = traits.view === true || traits.subview !== undefined;
    return moves && inputs.some((o) => o && program.buffers[o.buffer]?.kind === "state");
  }).length;
