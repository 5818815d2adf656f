import { type Dim, dtypeClass, isFloat } from "@rlxjs/ir";
import type { AttrRecord, TensorType } from "@rlxjs/ir";
import type { Emitted, Kernel, NodeView } from "@rlxjs/runtime";

/** Axes that a native operand can have (RLX_MAX_RANK). */
export const maxRank = 8;

/** The first reason that applies, or true. */
export const reasons = (...found: readonly (string | false | undefined)[]): true | string =>
  found.find((r) => typeof r === "string") ?? true;

/** Why an operand is not one of floats; undefined when it is. */
export const notFloat = (...types: readonly (TensorType | undefined)[]): string | undefined => {
  const bad = types.find((t) => t && !isFloat(t.dtype));
  return bad && `an operand of dtype ${bad.dtype}`;
};
export const isBlockType = (t: TensorType | undefined): boolean => t !== undefined && dtypeClass(t.dtype) === "block";

const tooManyAxes = (node: NodeView): string | undefined => {
  const bad = [...node.inputs, ...node.outputs].find((t) => t && t.shape.length > maxRank);
  return bad && `${bad.shape.length} axes, at most ${maxRank} are supported`;
};

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

// Attributes have been checked against the op's record; these only give them their types back.
export const numberAttr = (attrs: AttrRecord, name: string): number => Number(attrs[name]);
export const flagAttr = (attrs: AttrRecord, name: string): number => (attrs[name] === true ? 1 : 0);
export const listAttr = (attrs: AttrRecord, name: string): number[] => {
  const value = attrs[name];
  return Array.isArray(value) ? value.map(Number) : [];
};
export const dimAttr = (attrs: AttrRecord, name: string): Dim => attrs[name] as Dim;

/** A non-negative axis of input 0 (or of the output, for ops without inputs). */
export function axisAttr(node: NodeView): number {
  const rank = (node.inputs[0] ?? node.outputs[0])?.shape.length ?? 0;
  const axis = numberAttr(node.attrs, "axis");
  return axis < 0 ? axis + rank : axis;
}
