import { type DType, hashBytes, productOf, type ScalarBody } from "@rlxjs/ir";
import type { Operand } from "@rlxjs/runtime";
import { ceilDiv, max, min } from "../expr.ts";
import { type Launch, read, write } from "../launch.ts";
import { printBody } from "./body.ts";
import { broadcastSpace } from "./broadcast.ts";
import { loaded, readPointer, writePointer } from "./memory.ts";

const threads = 256;
/** Threadgroups that keep a GPU busy: with more elements than they have threads, a thread computes up to so many of them. */
const enoughGroups = 256;
const mostPerThread = 4;

/** A generated function; equal texts have equal names. */
const named = (kind: string, text: (name: string) => string): { readonly name: string; readonly text: string } => {
  const name = `${kind}_${hashBytes(new TextEncoder().encode(text(kind))).slice(0, 16)}`;
  return { name, text: text(name) };
};

/** A kernel that evaluates a body for every element of its result. */
function kernelText(name: string, space: string, body: ScalarBody, inputs: readonly DType[], output: DType): string {
  const pointers = [...inputs.map((d, i) => readPointer(d, `x${i}`)), writePointer(output, "out")];
  const { lines, result } = printBody(
    body,
    inputs.map((d, i) => loaded(d, body.compute, `x${i}[at.of[${i}]]`)),
  );
  return [
    '#include "broadcast.h"',
    '#include "scalar.h"',
    `kernel void ${name}(constant ${space} &shape [[buffer(0)]], ${pointers.map((p, i) => `${p} [[buffer(${i + 1})]],`).join(" ")}`,
    "    uint first [[thread_position_in_grid]], uint threads [[threads_per_grid]]) {",
    "  for (uint i = first; i < shape.count; i += threads) {",
    "    const auto at = positions(shape, i);",
    ...lines.map((line) => `    ${line}`),
    `    store_scalar(out + i, ${result});`,
    "  }",
    "}",
    "",
  ].join("\n");
}

/** One launch that evaluates `body` for every element of `output`. */
export function elementwiseLaunch(body: ScalarBody, inputs: readonly Operand[], output: Operand): Launch {
  const space = broadcastSpace(
    inputs.map((o) => o.shape),
    output.shape,
  );
  const { name, text } = named("elementwise", (n) =>
    kernelText(
      n,
      space.type,
      body,
      inputs.map((o) => o.dtype),
      output.dtype,
    ),
  );
  const count = productOf(output.shape);
  const groups = max(min(ceilDiv(count, threads), enoughGroups), ceilDiv(count, threads * mostPerThread));
  return {
    shader: { text },
    function: name,
    constants: [],
    args: space.args,
    buffers: [...inputs.map((o) => read(o)), write(output)],
    grid: { threadgroups: [groups, 1, 1] },
    threadsPerThreadgroup: [threads, 1, 1],
  };
}
