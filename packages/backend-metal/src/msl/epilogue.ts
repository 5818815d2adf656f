import { type AttrRecord, innerNode, innerType, type ScalarBody, type TensorType } from "@rlxjs/ir";
import { epilogueBody, type NodeView, type Operand } from "@rlxjs/runtime";
import { type Argument, type BufferArgument, read } from "../launch.ts";
import { printBody, unprintable } from "./body.ts";
import { broadcastSpace, tooManyElements } from "./broadcast.ts";
import { loaded, noElement, readPointer } from "./memory.ts";

/** A routine with what finishes its results, if anything does: a `with_epilogue` node or step taken apart. */
export interface Finished<T> {
  /** The routine's op, its attributes and its operands by slot. */
  readonly op: string;
  readonly attrs: AttrRecord;
  readonly inputs: readonly (T | undefined)[];
  /** The routine's own result. */
  readonly result: TensorType;
  /** Its operands are those of the body but the first one. */
  readonly epilogue?: { readonly body: ScalarBody; readonly operands: readonly T[] };
}

/** A step taken apart; a node: see `finishedNode`. */
export function finished<T extends TensorType>(node: {
  readonly op: string;
  readonly attrs: AttrRecord;
  readonly inputs: readonly (T | undefined)[];
  readonly outputs: readonly TensorType[];
}): Finished<T> {
  const { op, attrs, inputs, outputs } = node;
  const [result = { dtype: "f32", shape: [] }] = outputs;
  if (op !== "with_epilogue") return { op, attrs, inputs, result };
  const fused = attrs as unknown as Parameters<typeof innerNode>[1] & { readonly body: ScalarBody };
  const operands = inputs.filter((t) => t !== undefined);
  const inner = innerNode(operands, fused);
  return {
    op: fused.op,
    attrs: inner.attrs,
    inputs: inner.slots,
    result: innerType(operands, fused),
    epilogue: { body: fused.body, operands: inner.extra },
  };
}
export const finishedNode = ({ def, ...node }: NodeView) => finished({ op: def.name, ...node });

/** Why results of this dtype cannot be finished so; undefined when they can, or when nothing finishes them. */
export function unfinishable({ result, epilogue }: Finished<TensorType>, outputs: readonly TensorType[]): string | undefined {
  if (!epilogue) return undefined;
  const body = epilogueBody(epilogue.body, result.dtype);
  if (typeof body === "string") return body;
  const unfit = [...epilogue.operands, ...outputs].map((t) => noElement(t.dtype)).find((reason) => reason !== undefined);
  return unprintable(body) ?? unfit ?? tooManyElements(result.shape);
}

/** What a launch of a routine needs for its epilogue: see shaders/epilogue.h. Empty where nothing finishes the results. */
export interface EpilogueParts {
  readonly prelude?: string;
  /** Behind the routine's own. */
  readonly args: readonly Argument[];
  /** Behind the routine's own. */
  readonly buffers: readonly BufferArgument[];
}

/** The epilogue of a step that `unfinishable` has nothing against; its operands are bound from `firstBuffer` on. */
export function epilogueParts({ result, epilogue }: Finished<Operand>, firstBuffer: number): EpilogueParts {
  if (!epilogue) return { args: [], buffers: [] };
  const { operands } = epilogue;
  const body = epilogueBody(epilogue.body, result.dtype);
  if (typeof body === "string") throw new TypeError(`epilogue: not accepted: ${body}`);
  const space = broadcastSpace(
    operands.map((o) => o.shape),
    result.shape,
  );
  const pointers = operands.map((o, i) => readPointer(o.dtype, `x${i + 1}`));
  const { lines, result: last } = printBody(body, ["value", ...operands.map((o, i) => loaded(o.dtype, "f32", `x${i + 1}[at.of[${i}]]`))]);
  const prelude = [
    '#include "broadcast.h"',
    '#include "scalar.h"',
    `#define EPILOGUE_MEMBERS ${space.type} epilogue;`,
    `#define EPILOGUE_PARAMETERS ${pointers.map((p, i) => `, ${p} [[buffer(${firstBuffer + i})]]`).join("")}`,
    `#define EPILOGUE(args) Epilogue { ${["&args.epilogue", ...operands.map((_, i) => `x${i + 1}`)].join(", ")} }`,
    "struct Epilogue {",
    `  constant ${space.type} *shape;`,
    ...pointers.map((p) => `  ${p};`),
    "  float apply(float value, ulong index) const {",
    "    const auto at = positions(*shape, uint(index));",
    ...lines.map((line) => `    ${line}`),
    `    return ${last};`,
    "  }",
    "};",
    "",
  ].join("\n");
  return { prelude, args: space.args, buffers: operands.map((o) => read(o)) };
}
