import { type Dim, dtypeCode, productOf } from "@rlxjs/ir";
import { type Operand, reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv, max } from "../expr.ts";
import { constants, type Launch, type MetalKernel, read, slot, status, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { inQuads, threadGrid } from "./grid.ts";
import { wrongIndex } from "./indices.ts";

/** Elements that a thread of shaders/embedding.metal converts. */
const RUN = 16;

/** Function constants 0 to 3. */
const conversion = (w: Operand, width: Dim, out: Operand): (number | boolean)[] => [
  dtypeCode(w.dtype),
  inQuads(width, w),
  dtypeCode(out.dtype),
  inQuads(width, out),
];

function embedding(step: Step): readonly Launch[] {
  const [table, ids, out] = [input(step, 0), input(step, 1), output(step)];
  const [extent = 1, width = 1] = table.shape;
  return [
    {
      shader: { file: "embedding" },
      function: "embedding",
      constants: constants(...conversion(table, width, out), dtypeCode(ids.dtype)),
      args: [uint(extent), uint(width), slot],
      buffers: [read(table), read(ids), write(out), status("atomic")],
      // Ids are checked even where rows are empty.
      ...threadGrid(max(1, ceilDiv(width, RUN)), productOf(ids.shape)),
    },
  ];
}

function dequantize(step: Step): readonly Launch[] {
  const [w, out] = [input(step, 0), output(step)];
  const width = w.shape.at(-1) ?? 1;
  return [
    {
      shader: { file: "embedding" },
      function: "dequantize",
      constants: constants(...conversion(w, width, out), dtypeCode("u32")),
      args: [uint(width)],
      buffers: [read(w), write(out)],
      ...threadGrid(ceilDiv(width, RUN), productOf(w.shape.slice(0, -1))),
    },
  ];
}

/** shaders/embedding.metal: every weight dtype and every float that Metal has. */
export const embeddingKernels: readonly MetalKernel[] = [
  kernel("embedding", {
    accepts: ({ inputs: [table], outputs }) => reasons(hasF64(table, ...outputs)),
    launches: embedding,
    refusal: wrongIndex,
  }),
  kernel("dequantize", { accepts: ({ inputs, outputs }) => reasons(hasF64(...inputs, ...outputs)), launches: dequantize }),
];
