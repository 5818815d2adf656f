import { type AttrRecord, type Dim, dtypeClass, isFloat, type TensorType } from "@rlxjs/ir";
import type { NodeView } from "./backend.ts";

/** Axes that an operand of a native kernel can have. */
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

export const tooManyAxes = (node: NodeView): string | undefined => {
  const bad = [...node.inputs, ...node.outputs].find((t) => t && t.shape.length > maxRank);
  return bad && `${bad.shape.length} axes, at most ${maxRank} are supported`;
};

// Attributes have been checked against the op's record; these only give them their types back.
export const numberAttr = (attrs: AttrRecord, name: string): number => Number(attrs[name]);
export const flagAttr = (attrs: AttrRecord, name: string): number => (attrs[name] === true ? 1 : 0);
export const listAttr = (attrs: AttrRecord, name: string): number[] => {
  const value = attrs[name];
  return Array.isArray(value) ? value.map(Number) : [];
};
export const dimAttr = (attrs: AttrRecord, name: string): Dim => attrs[name] as Dim;

/** A non-negative axis of input 0 (or of the output, for ops without inputs), of a node or of a step. */
export function axisAttr({
  attrs,
  inputs,
  outputs,
}: {
  readonly attrs: AttrRecord;
  readonly inputs: readonly ({ readonly shape: readonly Dim[] } | undefined)[];
  readonly outputs: readonly { readonly shape: readonly Dim[] }[];
}): number {
  const rank = (inputs[0] ?? outputs[0])?.shape.length ?? 0;
  const axis = numberAttr(attrs, "axis");
  return axis < 0 ? axis + rank : axis;
}
