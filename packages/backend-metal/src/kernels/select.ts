import { dtypeCode, dtypes, productOf } from "@rlxjs/ir";
import { axisAttr, type NodeView, numberAttr, reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv, type Expr, mul } from "../expr.ts";
import { type BufferArgument, constants, type Launch, type MetalKernel, read, scratch, uint, write } from "../launch.ts";
import { input, kernel, output } from "./checks.ts";
import { isSplit, PART, teamGrid, upperBound } from "./grid.ts";
import { lanesOf } from "./lanes.ts";

/** Candidate of shaders/select.metal. */
const CANDIDATE_BYTES = 16;

function candidateBytes(node: NodeView | Step): Expr {
  const { outer, length, inner } = lanesOf(node.inputs[0] ?? { shape: [] }, axisAttr(node));
  const outputs = mul(outer, inner);
  return isSplit(outputs, length) ? mul(mul(outputs, ceilDiv(length, PART)), CANDIDATE_BYTES) : 0;
}

const arg =
  (least: boolean) =>
  (step: Step): readonly Launch[] => {
    const [x, out] = [input(step, 0), output(step)];
    const { outer, length, inner } = lanesOf(x, axisAttr(step));
    const outputs = mul(outer, inner);
    const bytes = candidateBytes(step);
    const pass = (from: BufferArgument, to: BufferArgument, count: Expr, part: Expr): Launch => {
      const parts = part === count ? 1 : ceilDiv(count, part);
      // Lanes that lie beside each other are read along memory by a thread each, where there are many.
      const alone = inner !== 1 && upperBound(outputs) >= 2048;
      const { team, ...grid } = teamGrid(outputs, alone ? 1 : Math.ceil(Math.min(upperBound(count), upperBound(part)) / 4), parts);
      return {
        shader: { file: "select" },
        function: "arg",
        constants: constants(team, dtypeCode(x.dtype), least, from.kind === "scratch", to.kind === "scratch"),
        args: [outputs, count, inner, part, parts].map(uint),
        buffers: [from, to],
        ...grid,
      };
    };
    if (bytes === 0) return [pass(read(x), write(out), length, length)];
    const parts = ceilDiv(length, PART);
    return [pass(read(x), scratch("write", 0, bytes), length, PART), pass(scratch("read", 0, bytes), write(out), parts, parts)];
  };

/** MOST of shaders/topk.metal and route.metal. */
const mostSelected = 256;
export const notTooMany = ({ attrs }: NodeView): string | false => {
  const k = numberAttr(attrs, "k");
  return k > mostSelected && `k ${k}, at most ${mostSelected} are supported`;
};

function listBytes({ attrs, inputs }: NodeView | Step): Expr {
  const shape = inputs[0]?.shape ?? [];
  const [rows, n] = [productOf(shape.slice(0, -1)), shape.at(-1) ?? 1];
  return isSplit(rows, n) ? mul(mul(mul(rows, ceilDiv(n, PART)), numberAttr(attrs, "k")), 4) : 0;
}

function topk(step: Step): readonly Launch[] {
  const [x, values, indices] = [input(step, 0), output(step, 0), output(step, 1)];
  const [rows, n] = [productOf(x.shape.slice(0, -1)), x.shape.at(-1) ?? 1];
  const k = numberAttr(step.attrs, "k");
  if (k === 0) return [];
  const { blockBytes } = dtypes[x.dtype];
  const bytes = listBytes(step);
  const pass = (list: BufferArgument, out: readonly [BufferArgument, BufferArgument], count: Expr, part: Expr): Launch => {
    const parts = part === count ? 1 : ceilDiv(count, part);
    const threads = Math.min(upperBound(count), upperBound(part)) > 4096 ? 1024 : 256;
    return {
      shader: { file: "topk" },
      function: "topk",
      constants: constants(dtypeCode(x.dtype), blockBytes, list.kind === "scratch", out[0].kind !== "none", blockBytes === 8),
      args: [n, k, count, part, parts].map(uint),
      buffers: [read(x), list, ...out],
      grid: { threadgroups: [rows, parts, 1] },
      threadsPerThreadgroup: [threads, 1, 1],
    };
  };
  const none = { kind: "none" } as const;
  if (bytes === 0) return [pass(none, [write(values), write(indices)], n, n)];
  const listed = mul(ceilDiv(n, PART), k);
  return [
    pass(none, [none, scratch("write", 0, bytes)], n, PART),
    pass(scratch("read", 0, bytes), [write(values), write(indices)], listed, listed),
  ];
}

/** shaders/select.metal and topk.metal: every numeric dtype; those of 8 bytes compare as bits. */
export const selectKernels: readonly MetalKernel[] = [
  kernel("argmax", { scratchBytes: (node) => upperBound(candidateBytes(node)), launches: arg(false) }),
  kernel("argmin", { scratchBytes: (node) => upperBound(candidateBytes(node)), launches: arg(true) }),
  kernel("topk", {
    accepts: (node) => reasons(notTooMany(node)),
    scratchBytes: (node) => upperBound(listBytes(node)),
    launches: topk,
  }),
];
