import { type AnyOpDef, opByName, ops, type ScalarBody, type TensorType } from "@rlxjs/ir";
import { type NodeView, type Operand, reasons, type Step } from "@rlxjs/runtime";
import type { MetalKernel } from "../launch.ts";
import { unprintable } from "../msl/body.ts";
import { tooManyElements } from "../msl/broadcast.ts";
import { elementwiseLaunch } from "../msl/elementwise.ts";
import { noElement } from "../msl/memory.ts";
import { kernel, output } from "./checks.ts";

/** Metal has 31 buffer indices; one holds the arguments, one the result. */
const maxOperands = 29;

const isPresent = <T>(operand: T | undefined): operand is T => operand !== undefined;
const bodyOf = (def: AnyOpDef, types: readonly TensorType[], attrs: NodeView["attrs"]): ScalarBody | undefined =>
  def.traits.elementwise?.(types, attrs);

function accepts({ def, attrs, inputs, outputs }: NodeView): true | string {
  const types = inputs.filter(isPresent);
  const body = bodyOf(def, types, attrs);
  const unfit = [...types, ...outputs].map((t) => noElement(t.dtype)).find(isPresent);
  return reasons(
    unfit,
    body ? unprintable(body) : "no scalar expression",
    types.length > maxOperands && `more than ${maxOperands} operands`,
    tooManyElements(outputs[0]?.shape ?? []),
  );
}

function launches(step: Step) {
  const operands: readonly Operand[] = step.inputs.filter(isPresent);
  const body = bodyOf(opByName(step.op), operands, step.attrs);
  return body ? [elementwiseLaunch(body, operands, output(step))] : [];
}

/** Every op that is a scalar expression, fused regions among them. */
export const elementwiseKernels: readonly MetalKernel[] = (Object.values(ops) as AnyOpDef[])
  .filter((def) => def.traits.elementwise !== undefined)
  .map((def) => kernel(def.name, { name: "elementwise", accepts, launches }));
