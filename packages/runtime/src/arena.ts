import { dimEquals, dtypes, opByName, shapeEquals, type TensorType } from "@rlxjs/ir";
import { planMemory, type Temporary } from "./plan.ts";
import type { Operand, ProgramBuffer, Step } from "./program.ts";
import { typeBytes } from "./storage.ts";

/** Same number of bytes at every extent. */
export const dimEqualBytes = (a: TensorType, b: TensorType): boolean => dimEquals(typeBytes(a), typeBytes(b));

export type DraftStep = Step & { readonly scratchBytes?: number };
type Draft = Temporary & { end: number; inPlaceOf?: number | undefined };

/** Give every arena buffer and every scratch area its place, by when they are in use. */
export function placeTemporaries(
  buffers: readonly ProgramBuffer[],
  drafts: readonly DraftStep[],
): { readonly buffers: readonly ProgramBuffer[]; readonly steps: readonly Step[]; readonly arenaBytes: number } {
  const temporaries: Draft[] = [];
  const ofBuffer = new Map<number, number>();
  const ofScratch = new Map<number, number>();
  for (const [step, { inputs, outputs, scratchBytes = 0 }] of drafts.entries()) {
    for (const operand of [...inputs, ...outputs]) {
      const buffer = operand && buffers[operand.buffer];
      if (!operand || buffer?.kind !== "arena") continue;
      const known = temporaries[ofBuffer.get(operand.buffer) ?? -1];
      if (known) known.end = step;
      else ofBuffer.set(operand.buffer, temporaries.push({ bytes: buffer.bytes, start: step, end: step }) - 1);
    }
    if (scratchBytes > 0) ofScratch.set(step, temporaries.push({ bytes: scratchBytes, start: step, end: step }) - 1);
  }
  for (const [index, step] of drafts.entries()) reuseInPlace(step, index, buffers, temporaries, ofBuffer);
  const { offsets, arenaBytes } = planMemory(temporaries);
  return {
    buffers: buffers.map((b, i) => (b.kind === "arena" ? { ...b, offset: offsets[ofBuffer.get(i) ?? -1] ?? 0 } : b)),
    steps: drafts.map(({ scratchBytes = 0, ...step }, i) =>
      scratchBytes === 0 ? step : { ...step, scratch: { offset: offsets[ofScratch.get(i) ?? -1] ?? 0, bytes: scratchBytes } },
    ),
    arenaBytes,
  };
}

/** Let outputs take over the memory of an operand that dies at this step, where the op allows it. */
function reuseInPlace(
  step: DraftStep,
  index: number,
  buffers: readonly ProgramBuffer[],
  temporaries: readonly Draft[],
  ofBuffer: ReadonlyMap<number, number>,
): void {
  const { inputs: slots, traits } = opByName(step.op);
  const names = slots as readonly { readonly name: string }[];
  const taken = new Set<number>();
  for (const output of step.outputs) {
    const target = temporaries[ofBuffer.get(output.buffer) ?? -1];
    if (!target || target.start !== index) continue;
    const source = step.inputs.find((operand, slot) => {
      const name = names[Math.min(slot, names.length - 1)]?.name;
      const temporary = operand && temporaries[ofBuffer.get(operand.buffer) ?? -1];
      if (!operand || !temporary || !traits.inPlace?.includes(name ?? "")) return false;
      const whole = operand.offset === 0 && dimEqualBytes(operand, buffers[operand.buffer] ?? operand);
      const shared = step.inputs.some(
        (o, other) => other !== slot && o?.buffer === operand.buffer && !(traits.elementwise && sameOperand(o, operand)),
      );
      return (
        temporary.end === index && temporary.start < index && whole && !shared && !taken.has(operand.buffer) && sameLayout(operand, output)
      );
    });
    if (!source) continue;
    taken.add(source.buffer);
    target.inPlaceOf = ofBuffer.get(source.buffer);
  }
}

const sameLayout = (a: TensorType, b: TensorType): boolean =>
  dtypes[a.dtype].blockBytes === dtypes[b.dtype].blockBytes &&
  dtypes[a.dtype].blockSize === dtypes[b.dtype].blockSize &&
  shapeEquals(a.shape, b.shape);
const sameOperand = (a: Operand, b: Operand): boolean => dimEquals(a.offset, b.offset) && sameLayout(a, b);
