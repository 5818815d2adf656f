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
  const temporaries = program.buffers.flatMap((b, index) => {
    if (b.kind !== "arena") return [];
    const steps = program.steps.flatMap((s, i) => ([...s.inputs, ...s.outputs].some((o) => o?.buffer === index) ? [i] : []));
    const from = steps[0] ?? 0;
    return [{ op: program.steps[from]?.op ?? "", bytes: b.bytes, offset: b.offset, from, to: steps.at(-1) ?? from }];
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
