import type { Bindings } from "@rlxjs/ir";
import {
  type Executable,
  type ExecutableStats,
  type Program,
  type ProgramBuffer,
  type RunCall,
  runAtOnce,
  runInSlices,
  type Work,
} from "@rlxjs/runtime";
import { type Memory, ReferenceSteps } from "./steps.ts";

/** Interprets a program on the calling thread: an asynchronous run lets other tasks in between steps. */
export class ReferenceExecutable implements Executable {
  readonly #program: Program;
  readonly #bound: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  readonly #steps: ReferenceSteps;
  readonly #arena: Uint8Array<ArrayBuffer>;
  /** Memory of outputs that a run does not deliver. */
  readonly #undelivered = new Map<number, Uint8Array<ArrayBuffer>>();
  #runs = 0;
  #hostSteps = 0;

  constructor(program: Program, bound: readonly (Uint8Array<ArrayBuffer> | undefined)[]) {
    this.#program = program;
    this.#bound = bound;
    this.#steps = new ReferenceSteps(program);
    this.#arena = new Uint8Array(program.arenaBytes);
  }

  run(call: RunCall): Promise<void> {
    return runInSlices(this.#execute(call), call.signal);
  }

  runSync(call: RunCall): void {
    runAtOnce(this.#execute(call));
  }

  stats(): ExecutableStats {
    return { runs: this.#runs, nativeCalls: 0, hostSteps: this.#hostSteps, arenaBytes: this.#arena.byteLength };
  }

  [Symbol.dispose](): void {
    this.#undelivered.clear();
  }

  *#execute(call: RunCall): Work<void> {
    const extents: Bindings = Object.fromEntries(this.#program.symbols.map((s, i) => [s.name, call.extents[i] ?? 0]));
    const memory = this.#memory(call);
    const micros = new Float64Array(call.trace ? this.#program.steps.length : 0);
    for (let i = 0; i < this.#program.steps.length; i++) {
      const started = call.trace ? performance.now() : 0;
      this.#steps.run(i, extents, memory);
      this.#hostSteps++;
      if (call.trace) micros[i] = (performance.now() - started) * 1000;
      yield;
    }
    this.#runs++;
    call.trace?.(micros);
  }

  #memory(call: RunCall): Memory {
    const next = { input: 0, output: 0, state: 0 };
    const bytes = (b: ProgramBuffer, index: number): Uint8Array<ArrayBuffer> | undefined => {
      if (b.kind === "input") return call.inputs[next.input++];
      if (b.kind === "output") return call.outputs[next.output++] ?? this.#scratchOutput(index, b.bytes);
      if (b.kind === "state") return call.states[next.state++]?.bytes;
      return b.kind === "arena" ? this.#arena.subarray(b.offset, b.offset + b.bytes) : this.#bound[index];
    };
    const all = this.#program.buffers.map(bytes);
    return (buffer) => all[buffer] ?? new Uint8Array();
  }

  #scratchOutput(index: number, bytes: number): Uint8Array<ArrayBuffer> {
    const memory = this.#undelivered.get(index) ?? new Uint8Array(bytes);
    this.#undelivered.set(index, memory);
    return memory;
  }
}
