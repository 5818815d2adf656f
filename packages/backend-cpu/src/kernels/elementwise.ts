import { type AnyOpDef, isBlock, ops, type ScalarBody } from "@rlxjs/ir";
import type { Kernel, NodeView } from "@rlxjs/runtime";
import { bytecode } from "./bytecode.ts";

const bodyOf = (node: NodeView): ScalarBody | undefined => {
  const types = node.inputs.filter((t) => t !== undefined);
  return node.def.traits.elementwise?.(types, node.attrs);
};

function compile(node: NodeView): Uint8Array<ArrayBuffer> | string {
  const block = [...node.inputs, ...node.outputs].find((t) => t && isBlock(t.dtype));
  if (block) return `elements of block format ${block.dtype}`;
  if (node.outputs.some((t) => t.shape.length > 8)) return "more than 8 axes";
  const body = bodyOf(node);
  return body ? bytecode(body) : "no scalar expression";
}

const kernel = (def: AnyOpDef): Kernel => ({
  op: def.name,
  accepts: (node) => {
    const code = compile(node);
    return typeof code === "string" ? code : true;
  },
  emit: (node) => {
    const code = compile(node);
    return typeof code === "string" ? { kernel: "elementwise" } : { kernel: "elementwise", blob: code };
  },
});

/** Every op that is a scalar expression, fused regions among them, runs on the vector bytecode. */
export const elementwiseKernels: readonly Kernel[] = (Object.values(ops) as AnyOpDef[])
  .filter((def) => def.traits.elementwise !== undefined)
  .map(kernel);
