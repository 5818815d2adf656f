import { dim, type Graph, type HirModule, lowerHir, type ParamTypes } from "@rlxjs/ir";
import { families } from "@rlxjs/models-core";
import type { OpenedModel } from "@rlxjs/models-core/node";
import { type Program, Session } from "@rlxjs/runtime";
import type { DeviceFlags } from "./flags.ts";

/** Positions that a model's graphs are built for here. */
const positions = 4096;

/** The blocks of a model: one token at a time for decoders, a whole text for encoders. */
export function blocksOf({ config, checkpoint }: OpenedModel): HirModule {
  const family = families[config.architecture];
  const capacity = Math.min(config.maxPositions, positions);
  if (family.kind === "encoder")
    return family.build(config, { name: `${config.architecture}.encode`, batch: 1, seq: dim("seq", { min: 1, max: capacity }) });
  const plan = {
    name: `${config.architecture}.decode`,
    batch: 1,
    seq: 1,
    capacity,
    kvFormats: { k: "f16", v: "f16" },
    output: "last",
  } as const;
  return family.build(config, (name) => checkpoint.has(name), plan);
}

/** Types of a model's weights, without reading them. */
export const typesOf =
  ({ checkpoint }: OpenedModel): ParamTypes =>
  (name) => {
    if (!checkpoint.has(name)) return undefined;
    const { dtype, shape } = checkpoint.info(name);
    return dtype && { dtype, shape };
  };

export const graphOf = (model: OpenedModel): Graph => lowerHir(blocksOf(model), typesOf(model));

/** The program that a device runs for a graph. Weights are neither read nor needed. */
export async function programOf(graph: Graph, { device, kernels, threads }: DeviceFlags): Promise<Program> {
  using session = await Session.open({
    device,
    ...(kernels === undefined ? {} : { kernels }),
    ...(threads === undefined ? {} : { threads }),
  });
  using compiled = await session.compile(graph);
  return compiled.program;
}
