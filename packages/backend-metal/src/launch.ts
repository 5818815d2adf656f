import type { Kernel, Operand, Step } from "@rlxjs/runtime";
import type { Expr } from "./expr.ts";

/** Where a kernel function is found. */
export type Shader =
  /** A file of `shaders/` without its ending; `prelude` is generated text in front of it, such as the function of an epilogue. */
  | { readonly file: string; readonly prelude?: string }
  /** Generated text of one function; all of a program become one library. */
  | { readonly text: string };

/** A function constant, by its index. */
export interface FunctionConstant {
  readonly index: number;
  readonly type: "bool" | "uint" | "int" | "float";
  readonly value: number;
}

/** One member of the struct of arguments (buffer 0), in the order of its declaration; 8-byte members lie at multiples of 8. */
export type Argument =
  | { readonly type: "uint" | "int" | "ulong" | "long"; readonly value: Expr }
  | { readonly type: "float"; readonly value: number }
  /** uint: where the launch's step reports what it refuses (`report` in shaders/common.h). */
  | { readonly type: "slot" };

/** `atomic`: atomic operations only; two of them need no barrier between them. */
export type Access = "read" | "write" | "readWrite" | "atomic";

/** What is bound at buffer indices 1, 2, ... in this order. `offset` and `bytes` lie within the operand; default: all of it. */
export type BufferArgument =
  | { readonly kind: "operand"; readonly operand: Operand; readonly access: Access; readonly offset?: Expr; readonly bytes?: Expr }
  /** Of the step's scratch memory (`scratchBytes` of what the kernel emits). */
  | { readonly kind: "scratch"; readonly offset: Expr; readonly bytes: Expr; readonly access: Access }
  /** The run's status: `atomic` to report only, `read` to skip writes after a failure, `readWrite` for both. */
  | { readonly kind: "status"; readonly access: "atomic" | "read" | "readWrite" }
  /** Nothing; the argument is guarded by a function constant. */
  | { readonly kind: "none" };

/** One dispatch. It is left out where an extent of its grid is 0. */
export interface Launch {
  readonly shader: Shader;
  readonly function: string;
  readonly constants: readonly FunctionConstant[];
  readonly args: readonly Argument[];
  readonly buffers: readonly BufferArgument[];
  /** Bytes of threadgroup memory by index, multiples of 16. */
  readonly threadgroupBytes?: readonly Expr[];
  /** In threadgroups, or in threads (the last threadgroups may then be smaller). */
  readonly grid: { readonly threadgroups: Size } | { readonly threads: Size };
  readonly threadsPerThreadgroup: readonly [number, number, number];
}
export type Size = readonly [Expr, Expr, Expr];

/** What a step refused, as its kernel reported it. */
export interface Refusal {
  /** The kernel's own number, from 1. */
  readonly code: number;
  readonly values: readonly [bigint, bigint, bigint];
}

/** A kernel of this backend: what the graph compiler asks of it, and the launches of a step that it took. */
export interface MetalKernel extends Kernel {
  /** As `Emitted.kernel` of its steps; several kernels may share it when they share `launches` too. */
  readonly name: string;
  launches(step: Step): readonly Launch[];
  /** The words for a refusal, without the op's name: those of the reference. */
  refusal?(step: Step, refusal: Refusal): string;
}

export const uint = (value: Expr): Argument => ({ type: "uint", value });
export const int = (value: Expr): Argument => ({ type: "int", value });
export const long = (value: Expr): Argument => ({ type: "long", value });
export const ulong = (value: Expr): Argument => ({ type: "ulong", value });
export const float = (value: number): Argument => ({ type: "float", value });
export const slot: Argument = { type: "slot" };

type Within = { readonly offset?: Expr; readonly bytes?: Expr };
const operandArgument =
  (access: Access) =>
  (operand: Operand | undefined, within: Within = {}): BufferArgument =>
    operand ? { kind: "operand", operand, access, ...within } : { kind: "none" };
/** Arguments for an operand; an absent one binds nothing. */
export const read = operandArgument("read");
export const write = operandArgument("write");
export const readWrite = operandArgument("readWrite");
export const scratch = (access: Access, offset: Expr, bytes: Expr): BufferArgument => ({ kind: "scratch", access, offset, bytes });
export const status = (access: "atomic" | "read" | "readWrite"): BufferArgument => ({ kind: "status", access });

/** Function constants 0, 1, 2, ... : booleans as `bool`, numbers as `uint`. */
export const constants = (...values: readonly (boolean | number)[]): FunctionConstant[] =>
  values.map((value, index) => ({ index, type: typeof value === "boolean" ? "bool" : "uint", value: Number(value) }));
