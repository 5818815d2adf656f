import { type Bindings, RlxError } from "@rlxjs/ir";
import {
  type Executable,
  type ExecutableStats,
  KernelError,
  type Program,
  REFERENCE,
  type RunCall,
  runInSlices,
  type Work,
} from "@rlxjs/runtime";
import type { NativeCall, NativeEngine, NativeExecutable, NativeFailure } from "./addon.ts";
import { encodeProgram } from "./encode.ts";
import { type Memory, ReferenceSteps } from "./reference/steps.ts";

/** Steps [from, to) that run in one native call, or one step that runs on the host. */
interface Segment {
  readonly host: boolean;
  readonly from: number;
  readonly to: number;
}

/** A program in native memory: without host steps, one native call replays all of it. */
export class LoadedProgram implements Executable {
  readonly #program: Program;
  readonly #bound: readonly (Uint8Array<ArrayBuffer> | undefined)[];
  readonly #native: NativeExecutable;
  readonly #segments: readonly Segment[];
  readonly #references: ReferenceSteps;
  /** Indices of the state buffers, in order. */
  readonly #states: readonly number[];
  #runs = 0;
  #nativeCalls = 0;
  #hostSteps = 0;

  constructor(engine: NativeEngine, program: Program, bound: readonly (Uint8Array<ArrayBuffer> | undefined)[]) {
    const { words, kernels, blobs } = encodeProgram(program);
    this.#native = engine.load(words, kernels, blobs, [...bound]);
    this.#program = program;
    this.#bound = bound;
    this.#segments = segmentsOf(program);
    this.#references = new ReferenceSteps(program);
    this.#states = program.buffers.flatMap((b, i) => (b.kind === "state" ? [i] : []));
  }

  async run(call: RunCall): Promise<void> {
    const { signal } = call;
    signal?.throwIfAborted();
    const cancel = (): void => this.#native.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      const micros = trace(call, this.#program);
      const native = this.#nativeCall(call);
      for (const [i, segment] of this.#segments.entries()) {
        if (segment.host) await runInSlices(this.#hostStep(segment.from, call, micros), signal);
        else {
          const part = micros && new Float64Array(micros.length);
          this.#nativeCalls++;
          this.#check(await this.#native.run(i === 0 ? native : undefined, segment.from, segment.to, part), signal);
          merge(micros, part);
        }
        signal?.throwIfAborted();
      }
      this.#done(call, micros);
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  runSync(call: RunCall): void {
    const micros = trace(call, this.#program);
    const native = this.#nativeCall(call);
    for (const [i, segment] of this.#segments.entries()) {
      if (segment.host) {
        for (const _ of this.#hostStep(segment.from, call, micros));
        continue;
      }
      const part = micros && new Float64Array(micros.length);
      this.#nativeCalls++;
      this.#check(this.#native.runSync(i === 0 ? native : undefined, segment.from, segment.to, part), undefined);
      merge(micros, part);
    }
    this.#done(call, micros);
  }

  stats(): ExecutableStats {
    return { runs: this.#runs, nativeCalls: this.#nativeCalls, hostSteps: this.#hostSteps, arenaBytes: this.#program.arenaBytes };
  }

  [Symbol.dispose](): void {
    this.#native.close();
  }

  #nativeCall(call: RunCall): NativeCall {
    return {
      extents: Float64Array.from(call.extents),
      inputs: call.inputs,
      outputs: call.outputs,
      states: call.states.map((s) => s.bytes),
      stage: this.#segments.some((s) => s.host),
    };
  }

  #check(failure: NativeFailure | undefined, signal: AbortSignal | undefined): void {
    if (!failure) return;
    signal?.throwIfAborted();
    if (failure.step < 0) throw new RlxError("ERR_RUN", `graph "${this.#program.name}": ${failure.text || "the run was cancelled"}`);
    throw new KernelError(this.#program, failure.step, failure.text);
  }

  *#hostStep(index: number, call: RunCall, micros: Float64Array | undefined): Work<void> {
    const started = performance.now();
    const extents: Bindings = Object.fromEntries(this.#program.symbols.map((s, i) => [s.name, call.extents[i] ?? 0]));
    this.#references.run(index, extents, this.#memory(call));
    this.#hostSteps++;
    if (micros) micros[index] = (performance.now() - started) * 1000;
    yield;
  }

  /** What host steps see: staged inputs and outputs and the arena in native memory, the rest as it was given. */
  #memory(call: RunCall): Memory {
    const { buffers } = this.#program;
    return (index) => {
      const kind = buffers[index]?.kind;
      if (kind === "weight" || kind === "constant") return this.#bound[index] ?? new Uint8Array();
      if (kind !== "state") return this.#native.memory(index);
      return call.states[this.#states.indexOf(index)]?.bytes ?? new Uint8Array();
    };
  }

  #done(call: RunCall, micros: Float64Array<ArrayBuffer> | undefined): void {
    this.#runs++;
    if (micros) call.trace?.(micros);
  }
}

const trace = (call: RunCall, program: Program): Float64Array<ArrayBuffer> | undefined =>
  call.trace ? new Float64Array(program.steps.length) : undefined;

function merge(into: Float64Array | undefined, part: Float64Array | undefined): void {
  if (into && part) for (const [i, micros] of part.entries()) if (micros > 0) into[i] = micros;
}

/** The first segment binds the call's memory and the last one delivers outputs: both are native, if need be without steps. */
function segmentsOf({ steps }: Program): Segment[] {
  const segments: Segment[] = [];
  let from = 0;
  steps.forEach((step, i) => {
    if (step.kernel !== REFERENCE) return;
    if (i > from || segments.length === 0) segments.push({ host: false, from, to: i });
    segments.push({ host: true, from: i, to: i + 1 });
    from = i + 1;
  });
  return [...segments, { host: false, from, to: steps.length }];
}
