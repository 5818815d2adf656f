import { dimMax, dtypeCode } from "@rlxjs/ir";
import { numberAttr, reasons, type Step } from "@rlxjs/runtime";
import { constants, type Launch, type MetalKernel, read, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { SIMDGROUP, teams } from "./grid.ts";
import { notTooMany } from "./select.ts";

/** MOST_EXPERTS of shaders/route.metal. */
const mostExperts = 2048;

function moeRoute(step: Step): readonly Launch[] {
  const [logits, weights, experts] = [input(step, 0), output(step, 0), output(step, 1)];
  const [tokens = 1, count = 1] = logits.shape;
  const threads = Math.min(1024, Math.ceil(dimMax(count) / SIMDGROUP) * SIMDGROUP);
  return [
    {
      shader: { file: "route" },
      function: "moe_route",
      constants: constants(teams.threadgroup, dtypeCode(logits.dtype), step.attrs.scoring === "sigmoid", step.attrs.normalize === true),
      args: [uint(count), uint(numberAttr(step.attrs, "k"))],
      buffers: [read(logits), write(weights), write(experts)],
      grid: { threadgroups: [tokens, 1, 1] },
      threadsPerThreadgroup: [threads, 1, 1],
    },
  ];
}

/** shaders/route.metal: every float dtype that Metal has. */
export const routeKernels: readonly MetalKernel[] = [
  kernel("moe_route", {
    accepts: (node) => {
      const count = dimMax(node.inputs[0]?.shape[1] ?? 1);
      return reasons(
        hasF64(...node.inputs),
        notTooMany(node),
        count > mostExperts && `${count} experts, at most ${mostExperts} are supported`,
      );
    },
    launches: moeRoute,
  }),
];
