import { type Dim, dtypeCode, productOf } from "@rlxjs/ir";
import { axisAttr, numberAttr, type Operand, reasons, type Step } from "@rlxjs/runtime";
import { div, mul } from "../expr.ts";
import { constants, float, type Launch, type MetalKernel, read, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { inQuads, quadThreads, teamGrid, teams, threadGrid } from "./grid.ts";
import { lanesOf } from "./lanes.ts";

const rowsOf = (x: Operand): Dim => productOf(x.shape.slice(0, -1));
const code = (operand: Operand | undefined): number => dtypeCode(operand?.dtype ?? "f32");

/** A norm of the last axis; with a residual, of its sum with x, which is the first output. */
const norm =
  ({ centered, residual }: { readonly centered: boolean; readonly residual: boolean }) =>
  (step: Step): readonly Launch[] => {
    const x = input(step, 0);
    const other = residual ? input(step, 1) : undefined;
    const [weight, bias] = step.inputs.slice(residual ? 2 : 1);
    const sum = residual ? output(step, 0) : undefined;
    const out = output(step, residual ? 1 : 0);
    const n = x.shape.at(-1) ?? 1;
    const rows = rowsOf(x);
    const { team, ...grid } = teamGrid(rows, quadThreads(n));
    const quads = inQuads(n, x, other, weight, bias, sum, out);
    return [
      {
        shader: { file: "norm" },
        function: "norm",
        constants: constants(team, quads, code(x), centered, residual, weight !== undefined, code(weight), bias !== undefined, code(bias)),
        args: [uint(rows), uint(n), float(numberAttr(step.attrs, "eps"))],
        buffers: [read(x), read(other), read(weight), read(bias), write(sum), write(out)],
        ...grid,
      },
    ];
  };

function groupNorm(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const [, weight, bias] = step.inputs;
  const groups = numberAttr(step.attrs, "groups");
  const [batch = 1, channels = 1, ...rest] = x.shape;
  const perGroup = div(channels, groups);
  const positions = productOf(rest);
  const rows = mul(batch, groups);
  const { team, ...grid } = teamGrid(rows, quadThreads(mul(perGroup, positions)));
  // Rows begin at multiples of their length.
  const quads = typeof perGroup === "number" && inQuads(productOf([perGroup, positions]), x, out);
  return [
    {
      shader: { file: "norm" },
      function: "group_norm",
      constants: constants(team, quads, code(x), true, false, weight !== undefined, code(weight), bias !== undefined, code(bias)),
      args: [uint(rows), uint(groups), uint(perGroup), uint(positions), float(numberAttr(step.attrs, "eps"))],
      buffers: [read(x), read(weight), read(bias), write(out)],
      ...grid,
    },
  ];
}

const softmax =
  (log: boolean) =>
  (step: Step): readonly Launch[] => {
    const [x, out] = [input(step, 0), output(step)];
    const { outer, length, inner } = lanesOf(x, axisAttr(step));
    const { team, ...grid } = teamGrid(outer, quadThreads(length));
    const shared = { shader: { file: "softmax" }, buffers: [read(x), write(out)] };
    return [
      inner === 1
        ? {
            ...shared,
            function: "softmax_rows",
            constants: constants(team, inQuads(length, x, out), code(x), log),
            args: [uint(outer), uint(length)],
            ...grid,
          }
        : {
            ...shared,
            function: "softmax_lanes",
            constants: constants(teams.thread, false, code(x), log),
            args: [uint(length), uint(inner)],
            ...threadGrid(inner, outer),
          },
    ];
  };

const floats = (op: string, launches: (step: Step) => readonly Launch[]): MetalKernel =>
  kernel(op, { accepts: ({ inputs }) => reasons(hasF64(...inputs)), launches });

/** shaders/norm.metal and softmax.metal: every float dtype that Metal has. */
export const normKernels: readonly MetalKernel[] = [
  floats("rms_norm", norm({ centered: false, residual: false })),
  floats("layer_norm", norm({ centered: true, residual: false })),
  floats("residual_rms_norm", norm({ centered: false, residual: true })),
  floats("residual_layer_norm", norm({ centered: true, residual: true })),
  floats("group_norm", groupNorm),
  floats("softmax", softmax(false)),
  floats("log_softmax", softmax(true)),
];
