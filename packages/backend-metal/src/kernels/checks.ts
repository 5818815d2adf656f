import type { TensorType } from "@rlxjs/ir";
import { type Emitted, type NodeView, type Operand, type Step, tooManyAxes } from "@rlxjs/runtime";
import type { Launch, MetalKernel, Refusal } from "../launch.ts";
import { noF64 } from "../msl/memory.ts";

/** A kernel with the checks that every one needs: at most 8 axes. */
export function kernel(
  op: string,
  spec: {
    /** Default: the op's. Kernels of one name have the same launches. */
    readonly name?: string;
    readonly accepts?: (node: NodeView) => true | string;
    /** Temporary memory at the upper bounds of extents; multiples of 64 keep its parts aligned. */
    readonly scratchBytes?: (node: NodeView) => number;
    readonly launches: (step: Step) => readonly Launch[];
    readonly refusal?: (step: Step, refusal: Refusal) => string;
  },
): MetalKernel {
  const { name = op, launches, refusal } = spec;
  return {
    op,
    name,
    accepts: (node) => tooManyAxes(node) ?? spec.accepts?.(node) ?? true,
    emit: (node): Emitted => ({ kernel: name, scratchBytes: spec.scratchBytes?.(node) ?? 0 }),
    launches,
    ...(refusal ? { refusal } : {}),
  };
}

/** Why operands cannot be computed with; undefined when they can. Moving f64 as bytes needs no such check. */
export const hasF64 = (...types: readonly (TensorType | undefined)[]): string | undefined =>
  types.some((t) => t?.dtype === "f64") ? noF64 : undefined;

/** Operand `slot` of a step, which its op always has. */
export function input(step: Step, slot: number): Operand {
  const operand = step.inputs[slot];
  if (!operand) throw new TypeError(`step ${step.op}: expected an operand in slot ${slot}`);
  return operand;
}
export function output(step: Step, slot = 0): Operand {
  const operand = step.outputs[slot];
  if (!operand) throw new TypeError(`step ${step.op}: expected an output ${slot}`);
  return operand;
}
