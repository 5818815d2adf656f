import { type Dim, dtypeCode } from "@rlxjs/ir";
import type { Operand, Program, ProgramBuffer } from "@rlxjs/runtime";

const bufferKinds = ["input", "output", "state", "constant", "weight", "arena"] as const satisfies readonly ProgramBuffer["kind"][];

export interface EncodedProgram {
  readonly words: Float64Array<ArrayBuffer>;
  readonly kernels: readonly string[];
  readonly blobs: readonly Uint8Array<ArrayBuffer>[];
}

/** A program as numbers, in the order in which native/program/decode.cpp reads them. Lists come with their length first. */
export function encodeProgram(program: Program): EncodedProgram {
  const words: number[] = [];
  const kernels: string[] = [];
  const blobs: Uint8Array<ArrayBuffer>[] = [];
  const symbols = program.symbols.map((s) => s.name);

  const dim = (d: Dim): void => {
    const terms = typeof d === "number" ? [{ coef: d, symbols: [] }] : d.terms;
    words.push(terms.length);
    for (const t of terms) words.push(t.coef, t.symbols.length, ...t.symbols.map((s) => symbols.indexOf(s)));
  };
  const dims = (list: readonly Dim[]): void => {
    words.push(list.length);
    for (const d of list) dim(d);
  };
  const operand = (o: Operand | undefined): void => {
    words.push(o ? 1 : 0);
    if (!o) return;
    const buffer = program.buffers[o.buffer];
    const packed = buffer && "layout" in buffer && buffer.layout !== undefined;
    words.push(o.buffer, dtypeCode(o.dtype), packed ? 1 : 0);
    dim(o.offset);
    dims(o.shape);
  };

  words.push(program.symbols.length);
  for (const s of program.symbols) words.push(s.min, s.max);
  words.push(program.arenaBytes, program.buffers.length);
  for (const b of program.buffers) {
    words.push(bufferKinds.indexOf(b.kind), dtypeCode(b.dtype), b.bytes, b.kind === "arena" ? b.offset : 0);
    dims(b.shape);
  }
  words.push(program.steps.length);
  for (const step of program.steps) {
    if (!kernels.includes(step.kernel)) kernels.push(step.kernel);
    words.push(kernels.indexOf(step.kernel), step.inputs.length);
    for (const o of step.inputs) operand(o);
    words.push(step.outputs.length);
    for (const o of step.outputs) operand(o);
    dims(step.params);
    words.push(step.blob ? blobs.push(step.blob) : 0, step.scratch?.offset ?? 0, step.scratch?.bytes ?? 0);
  }
  return { words: Float64Array.from(words), kernels, blobs };
}
