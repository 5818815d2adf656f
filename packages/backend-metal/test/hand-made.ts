// Programs made by hand, of small kernels, for tests of the host. All of x, y and states are f32 unless they say otherwise.
import { type Dim, dim, dtypes, Tensor } from "@rlxjs/ir";
import { constants, float, type Launch, type MetalPlan, read, readWrite, slot, status, uint, write } from "@rlxjs/backend-metal";
import type { Operand, Program, ProgramBuffer, RunCall, Step } from "@rlxjs/runtime";
import { MetalDevice, type MetalDeviceOptions } from "../src/device.ts";
import { encodePlan } from "../src/encode.ts";
import type { MetalExecutable } from "../src/executable.ts";
import { MetalProgram } from "../src/program.ts";
import { loadMetalAddon, type MetalAddon, type SoftwareOptions } from "../src/addon.ts";

/** `FACTOR` is a function constant. `refuse` refuses element `args.at` when it is not 0; `overrun` reads behind its operand. */
export const source = `
#include <metal_stdlib>
using namespace metal;
constant uint FACTOR [[function_constant(0)]];

struct Scale { float by; };
kernel void scale(constant Scale &args [[buffer(0)]], device const float *x [[buffer(1)]], device float *y [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
  y[i] = x[i] * args.by * FACTOR;
}
kernel void accumulate(device const float *x [[buffer(1)]], device float *s [[buffer(2)]], uint i [[thread_position_in_grid]]) { s[i] += x[i]; }
kernel void count(device atomic_uint *total [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  atomic_fetch_add_explicit(total, i, memory_order_relaxed);
}
kernel void idle() {}
struct Refusal { uint code; uint reserved; long values[3]; };
struct Status { atomic_uint refused; uint reserved[7]; Refusal refusals[1]; };
struct Refuse { uint slot; uint at; };
kernel void refuse(constant Refuse &args [[buffer(0)]], device const float *x [[buffer(1)]], device Status *status [[buffer(2)]],
                   uint i [[thread_position_in_grid]]) {
  if (i != args.at || x[i] == 0) return;
  status->refusals[args.slot].code = 7;
  status->refusals[args.slot].values[0] = long(x[i]);
  status->refusals[args.slot].values[1] = -1;
  status->refusals[args.slot].values[2] = 1l << 40;
  atomic_fetch_min_explicit(&status->refused, args.slot, memory_order_relaxed);
}
struct Overrun { uint by; };
kernel void overrun(constant Overrun &args [[buffer(0)]], device const float *x [[buffer(1)]], device float *y [[buffer(2)]],
                    uint i [[thread_position_in_grid]]) {
  y[i] = x[i + args.by];
}
`;

export const n = dim("n", { min: 0, max: 4096 });
type BufferKind = Exclude<ProgramBuffer["kind"], "constant" | "weight" | "arena">;

export interface StepOptions {
  /** Default: a step of the launch's own. */
  readonly step?: number;
  readonly refuses?: boolean;
  /** Bytes of scratch memory. */
  readonly scratch?: number;
}

/** A program under construction: buffers and launches, one step per launch unless `step` says otherwise. */
export class HandMade {
  readonly #buffers: ProgramBuffer[] = [];
  readonly #steps: Step[] = [];
  readonly #launches: MetalPlan["launches"][number][] = [];
  readonly #pipelines: MetalPlan["pipelines"][number][] = [];
  #arenaBytes = 0;
  #slots = 0;
  readonly source: string;

  constructor(text = source) {
    this.source = text;
  }

  buffer(kind: BufferKind, shape: readonly Dim[] = [n], dtype: "f32" | "u8" = "f32"): Operand {
    return this.#operand({ kind, name: `${kind} ${this.#buffers.length}`, dtype, shape, bytes: bytesAtMost(shape, dtype) });
  }
  arena(shape: readonly Dim[] = [n]): Operand {
    const offset = this.#arenaBytes;
    this.#arenaBytes += Math.ceil(bytesAtMost(shape) / 64) * 64;
    return this.#operand({ kind: "arena", offset, dtype: "f32", shape, bytes: bytesAtMost(shape) });
  }
  weight(shape: readonly Dim[], dtype: "f32" | "u8" = "f32"): Operand {
    return this.#operand({ kind: "weight", source: { kind: "param", name: "w" }, dtype, shape, bytes: bytesAtMost(shape, dtype) });
  }
  #operand(buffer: ProgramBuffer): Operand {
    return { buffer: this.#buffers.push(buffer) - 1, offset: 0, dtype: buffer.dtype, shape: buffer.shape };
  }

  /** A launch of one of the functions in `source`, over `grid` threads. */
  launch(name: string, more: Partial<Launch>, { step = this.#steps.length, refuses = false, scratch = 0 }: StepOptions = {}): this {
    const launch: Launch = {
      shader: { text: "" },
      function: name,
      constants: name === "scale" ? constants(1) : [],
      args: [],
      buffers: [],
      grid: { threads: [n, 1, 1] },
      threadsPerThreadgroup: [64, 1, 1],
      ...more,
    };
    const pipeline = this.#pipelines.push({ library: 0, function: name, constants: launch.constants }) - 1;
    this.#launches.push({ step, pipeline, slot: refuses ? this.#slots++ : -1, launch });
    this.#steps[step] ??= {
      kernel: "hand-made",
      op: name,
      attrs: {},
      inputs: [],
      outputs: [],
      params: [],
      ...(scratch ? { scratch: { offset: this.#reserve(scratch), bytes: scratch } } : {}),
    };
    return this;
  }
  #reserve(bytes: number): number {
    const offset = this.#arenaBytes;
    this.#arenaBytes += bytes;
    return offset;
  }

  /** y = x * by */
  scale(x: Operand, y: Operand, by: number, more: Partial<Launch> = {}, step: StepOptions = {}): this {
    const grid = { threads: [x.shape[0] ?? 1, 1, 1] } as const;
    return this.launch("scale", { args: [float(by)], buffers: [read(x), write(y)], grid, ...more }, step);
  }
  /** s += x */
  accumulate(x: Operand, s: Operand): this {
    return this.launch("accumulate", { buffers: [read(x), readWrite(s)], grid: { threads: [x.shape[0] ?? 1, 1, 1] } });
  }
  /** Refuses the element `at` of x unless it is 0. */
  refuse(x: Operand, at: number): this {
    return this.launch("refuse", { args: [slot, uint(at)], buffers: [read(x), status("atomic")] }, { refuses: true });
  }

  get program(): Program {
    return {
      name: "hand-made",
      symbols: [{ name: "n", min: 0, max: 4096 }],
      buffers: this.#buffers,
      steps: this.#steps,
      arenaBytes: this.#arenaBytes,
    };
  }
  get plan(): MetalPlan {
    const libraries = [{ label: "hand-made", source: this.source }];
    return { libraries, pipelines: this.#pipelines, launches: this.#launches, slots: this.#slots };
  }

  /** What native code is given, without weights. */
  get encoded() {
    const { words, functions, libraries } = encodePlan(this.program, this.plan);
    const labels = this.program.steps.map((step) => step.op);
    return { words: [...words], functions, libraries, labels, bound: this.program.buffers.map(() => null) };
  }

  load(device: MetalDevice, bound: readonly (Uint8Array<ArrayBuffer> | undefined)[] = this.#buffers.map(() => undefined)): MetalExecutable {
    return this.on(device).load(bound);
  }
  on(device: MetalDevice): MetalProgram {
    const encoded = encodePlan(this.program, this.plan);
    return new MetalProgram(device, this.program, encoded, (step, { code, values }) => `step ${step} refuses with ${code}: ${values}`);
  }
}

const bytesAtMost = (shape: readonly Dim[], dtype: "f32" | "u8" = "f32"): number =>
  shape.reduce<number>((bytes, d) => bytes * (typeof d === "number" ? d : 4096), dtypes[dtype].blockBytes);

/** The addon; tests that use it are within `describeOnMetal`. */
export function theAddon(): MetalAddon {
  const { addon, reason } = loadMetalAddon();
  if (!addon) throw new Error(`no addon for Metal: ${reason}`);
  return addon;
}
/** A device of its own; `software`: how software Metal runs it, where that is what there is. */
export function openDevice(software: SoftwareOptions = {}, options: MetalDeviceOptions = {}): MetalDevice {
  const addon = theAddon();
  addon.software?.configure({ check: true, order: "random", seed: 7, ...software });
  return new MetalDevice(addon, options);
}

export const f32 = (...values: number[]): Uint8Array<ArrayBuffer> => Tensor.from("f32", [values.length], values).bytes;
export const values = (bytes: Uint8Array<ArrayBuffer>): number[] => [...new Float32Array(Uint8Array.from(bytes).buffer)];
export const bytes = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(length);

export const call = (
  extent: number,
  inputs: readonly Uint8Array<ArrayBuffer>[],
  outputs: RunCall["outputs"],
  more: Partial<RunCall> = {},
): RunCall => ({ extents: [extent], inputs, outputs, states: [], ...more });
