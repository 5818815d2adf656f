import { type Executable, type ExecutableStats, type GpuCounts, KernelError, type Program, type RunCall } from "@rlxjs/runtime";
import { isNativeFailure, type NativeCall, type NativeExecutable } from "./addon.ts";
import { MetalError } from "./errors.ts";
import type { Refusal } from "./launch.ts";

/** The words for what a step refused, without the op's name. */
export type RefusalText = (step: number, refusal: Refusal) => string;

/** A program on a device: one native call, one command buffer and one wait per run. */
export class MetalExecutable implements Executable {
  readonly #program: Program;
  readonly #native: NativeExecutable;
  readonly #refusal: RefusalText;
  #runs = 0;
  #nativeCalls = 0;
  #gpuMicros = 0;
  /** What the native side has counted, once it is closed. */
  #counted: ReturnType<NativeExecutable["counts"]> | undefined;

  constructor(program: Program, native: NativeExecutable, refusal: RefusalText) {
    this.#program = program;
    this.#native = native;
    this.#refusal = refusal;
  }

  async run(call: RunCall): Promise<void> {
    const { signal } = call;
    signal?.throwIfAborted();
    const native = this.#begin(call);
    try {
      this.#gpuMicros += await this.#native.run(native);
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#failure(error);
    }
    // What is committed runs to its end.
    signal?.throwIfAborted();
    this.#done(call, native);
  }

  runSync(call: RunCall): void {
    const native = this.#begin(call);
    try {
      this.#gpuMicros += this.#native.runSync(native);
    } catch (error) {
      throw this.#failure(error);
    }
    this.#done(call, native);
  }

  stats(): ExecutableStats {
    const gpu: GpuCounts = { ...(this.#counted ?? this.#native.counts()), gpuMicros: this.#gpuMicros };
    return { runs: this.#runs, nativeCalls: this.#nativeCalls, hostSteps: 0, arenaBytes: this.#program.arenaBytes, gpu };
  }

  [Symbol.dispose](): void {
    this.#counted ??= this.#native.counts();
    this.#native.close();
  }

  #begin(call: RunCall): NativeCall {
    this.#nativeCalls++;
    return {
      extents: Float64Array.from(call.extents),
      inputs: call.inputs,
      outputs: call.outputs,
      states: call.states.map((s) => s.bytes),
      trace: call.trace && new Float64Array(this.#program.steps.length),
    };
  }

  #failure(error: unknown): unknown {
    if (!isNativeFailure(error)) return error;
    const { kind, step, code = 0, values = [0n, 0n, 0n] } = error;
    if (kind === "refused") return new KernelError(this.#program, step, this.#refusal(step, { code, values }));
    if (kind === "invalid" && step >= 0) return new KernelError(this.#program, step, error.message);
    const op = this.#program.steps[step]?.op;
    return new MetalError(`graph "${this.#program.name}"${op === undefined ? "" : `: step ${step} ${op}`}`, kind, error.message);
  }

  #done(call: RunCall, { trace }: NativeCall): void {
    this.#runs++;
    if (trace) call.trace?.(trace);
  }
}
