import { type Bindings, bindAttrs, byteLength, evalDim, evalShape, opByName, overlap, runReference, Tensor, writtenSlots } from "@rlxjs/ir";
import { KernelError, type Operand, type Program } from "@rlxjs/runtime";

/** The bytes of a buffer of the program, from its first byte on. */
export type Memory = (buffer: number) => Uint8Array<ArrayBuffer>;

/** Runs steps of a program by the references of their ops, over whatever memory the program has. */
export class ReferenceSteps {
  readonly #program: Program;
  /** Weights keep their tensors, so that they are decoded once. */
  readonly #weights = new Map<Operand, Tensor>();

  constructor(program: Program) {
    this.#program = program;
  }

  /** Run step `index`. What the reference throws becomes a KernelError. */
  run(index: number, extents: Bindings, memory: Memory): void {
    const step = this.#program.steps[index];
    if (!step) return;
    const def = opByName(step.op);
    try {
      const written = writtenSlots(def);
      const outputs = step.outputs.map((o) => this.#tensor(o, extents, memory));
      const inputs = step.inputs.map((o, slot) => {
        const tensor = o && this.#tensor(o, extents, memory);
        // A reference may still read operands when it has begun to write: those that share memory with a result are copied first.
        // Memory that the op writes in place is its own business: it reads what it overwrites, or refuses to.
        const shared = tensor && !written.includes(slot) && outputs.slice(written.length).some((out) => overlap(tensor.data, out.data));
        return shared ? new Tensor(tensor.dtype, tensor.shape, tensor.data.slice()) : tensor;
      });
      runReference(def, inputs, bindAttrs(def, step.attrs, extents), outputs);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const named = `[${step.op}] `; // which the error says by itself
      throw new KernelError(this.#program, index, text.startsWith(named) ? text.slice(named.length) : text, error);
    }
  }

  #tensor(operand: Operand, extents: Bindings, memory: Memory): Tensor {
    const known = this.#weights.get(operand);
    if (known) return known;
    const shape = evalShape(operand.shape, extents);
    const offset = evalDim(operand.offset, extents);
    const bytes = memory(operand.buffer).subarray(offset, offset + byteLength(operand.dtype, shape));
    const tensor = Tensor.fromBytes(operand.dtype, shape, bytes);
    const kind = this.#program.buffers[operand.buffer]?.kind;
    if (kind === "weight" || kind === "constant") this.#weights.set(operand, tensor.freeze());
    return tensor;
  }
}
