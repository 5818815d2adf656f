import type { Dim } from "@rlxjs/ir";
import { type Emitted, type Kernel, type NodeView, tooManyAxes } from "@rlxjs/runtime";

/** A kernel with the checks that every one needs; `accepts` says why not, `params` follows the comment at the C++ function. */
export function kernel(
  op: string,
  spec: {
    readonly kernel?: string;
    readonly accepts?: (node: NodeView) => true | string;
    readonly params?: (node: NodeView) => Dim[];
  } = {},
): Kernel {
  const name = spec.kernel ?? op;
  return {
    op,
    accepts: (node) => tooManyAxes(node) ?? spec.accepts?.(node) ?? true,
    emit: (node): Emitted => ({ kernel: name, params: spec.params?.(node) ?? [] }),
  };
}
