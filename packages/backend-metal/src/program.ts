import type { PreparedProgram, Program } from "@rlxjs/runtime";
import type { MetalDevice } from "./device.ts";
import type { EncodedPlan } from "./encode.ts";
import { ofDevice, onDevice } from "./errors.ts";
import { MetalExecutable, type RefusalText } from "./executable.ts";

/** A program as native code takes it, to be loaded on its device. */
export class MetalProgram implements PreparedProgram {
  readonly #device: MetalDevice;
  readonly #program: Program;
  readonly #encoded: EncodedPlan;
  readonly #refusal: RefusalText;
  readonly #where: string;
  #release: () => void = () => undefined;

  constructor(device: MetalDevice, program: Program, encoded: EncodedPlan, refusal: RefusalText) {
    this.#device = device;
    this.#program = program;
    this.#encoded = encoded;
    this.#refusal = refusal;
    this.#where = `graph "${program.name}"`;
  }

  /** Compiles its shaders in threads of their own, so that `load` finds them until this is disposed. Rejects with a MetalError. */
  async prepare(): Promise<this> {
    const { words, functions, libraries } = this.#encoded;
    try {
      this.#release = await this.#device.native.prepare(words, functions, libraries);
    } catch (error) {
      throw ofDevice(this.#where, error);
    }
    return this;
  }

  /** Throws a MetalError when a shader does not compile or memory is short. */
  load(bound: readonly (Uint8Array<ArrayBuffer> | undefined)[]): MetalExecutable {
    const { words, functions, libraries } = this.#encoded;
    const labels = this.#program.steps.map((step, i) =>
      [`${i}`, step.op, step.origin, step.label].filter((t) => t !== undefined).join(" "),
    );
    const weights = bound.map((bytes) => bytes && this.#device.resident(bytes));
    const native = onDevice(this.#where, () => this.#device.native.load(this.#program.name, words, functions, libraries, labels, weights));
    return new MetalExecutable(this.#program, native, this.#refusal);
  }

  [Symbol.dispose](): void {
    this.#release();
  }
}
