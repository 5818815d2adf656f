import { z } from "zod";
import { ModelConfigError, show } from "../errors.ts";
import { isObject, type Json, type JsonObject } from "../json.ts";
import { count, parseFields, positive } from "./fields.ts";
import type { RopeConfig, RopeScaling } from "./model-config.ts";

const parameters = z.object({
  rope_theta: positive.nullish(),
  rope_type: z.string().nullish(),
  /** The older name of rope_type. */
  type: z.string().nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
  factor: positive.nullish(),
  original_max_position_embeddings: count.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  truncate: z.boolean().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
});
type Parameters = z.output<typeof parameters>;

/** What a model class assumes when its config is silent. */
export interface RopeDefaults {
  readonly theta: number;
  /** Theta of sliding layers, for families whose sliding layers have a rope of their own. */
  readonly localTheta?: number;
  readonly headDim: number;
  readonly maxPositions: number;
}

/**
 * The rope of full layers and that of sliding layers, from either dialect: `rope_theta` + `rope_scaling` (+ `rope_local_base_freq`),
 * or `rope_parameters`, which is flat or has one entry per layer type.
 */
export function readHfRope(
  file: string,
  config: JsonObject,
  defaults: RopeDefaults,
): { rope: RopeConfig; localRope: RopeConfig | undefined } {
  const newer = config.rope_parameters;
  const make = (field: string, value: Json | undefined, theta: number): RopeConfig => ropeOf(file, field, value, theta, config, defaults);
  if (isObject(newer) && (isObject(newer.full_attention) || isObject(newer.sliding_attention))) {
    if (defaults.localTheta === undefined)
      throw new ModelConfigError(file, "rope_parameters", "one set of parameters for all layers", "one per layer type");
    return {
      rope: make("rope_parameters.full_attention", newer.full_attention, defaults.theta),
      localRope: make("rope_parameters.sliding_attention", newer.sliding_attention, defaults.localTheta),
    };
  }
  const field = newer == null ? "rope_scaling" : "rope_parameters";
  const rope = make(field, newer ?? config.rope_scaling, theta(file, "rope_theta", config.rope_theta, defaults.theta));
  if (defaults.localTheta === undefined) return { rope, localRope: undefined };
  // In the older dialect scaling is for the full layers only.
  const local = theta(file, "rope_local_base_freq", config.rope_local_base_freq, defaults.localTheta);
  return { rope, localRope: make("rope_local_base_freq", undefined, local) };
}

const theta = (file: string, field: string, value: Json | undefined, otherwise: number): number =>
  parseFields(file, z.object({ [field]: positive.nullish() }), { [field]: value })[field] ?? otherwise;

function ropeOf(
  file: string,
  field: string,
  value: Json | undefined,
  theta: number,
  config: JsonObject,
  defaults: RopeDefaults,
): RopeConfig {
  const given = parseFields(file, z.object({ [field]: parameters.nullish() }), { [field]: value })[field] ?? {};
  const outer = parseFields(
    file,
    z.object({ partial_rotary_factor: positive.max(1).nullish(), original_max_position_embeddings: count.nullish() }),
    config,
  );
  const partial = given.partial_rotary_factor ?? outer.partial_rotary_factor ?? 1;
  const dim = Math.trunc(defaults.headDim * partial);
  if (dim < 2 || dim % 2 !== 0) throw new ModelConfigError(file, "head_dim", "an even number of rotated channels", `${dim}`);
  const original = given.original_max_position_embeddings ?? outer.original_max_position_embeddings;
  return {
    theta: given.rope_theta ?? theta,
    dim,
    interleaved: false,
    scaling: scalingOf(file, field, given, original, defaults.maxPositions),
  };
}

function scalingOf(file: string, field: string, p: Parameters, original: number | null | undefined, maxPositions: number): RopeScaling {
  const need = <K extends keyof Parameters>(key: K): number => {
    const v = p[key];
    if (typeof v !== "number") throw new ModelConfigError(file, `${field}.${key}`, "a number", show(v));
    return v;
  };
  const type = p.rope_type ?? p.type ?? "default";
  switch (type) {
    case "default":
      return { type: "none" };
    case "linear":
      return { type: "linear", factor: need("factor") };
    case "dynamic":
      // transformers measures the length against max_position_embeddings here, whatever the original was.
      return { type: "dynamic", factor: need("factor"), originalMaxPositions: maxPositions };
    case "llama3":
      return {
        type: "llama3",
        factor: need("factor"),
        lowFreqFactor: need("low_freq_factor"),
        highFreqFactor: need("high_freq_factor"),
        originalMaxPositions: original ?? maxPositions,
      };
    case "yarn":
      return {
        type: "yarn",
        factor: p.factor ?? maxPositions / (original ?? maxPositions),
        originalMaxPositions: original ?? maxPositions,
        betaFast: p.beta_fast ?? 32,
        betaSlow: p.beta_slow ?? 1,
        truncate: p.truncate ?? true,
        attentionFactor: p.attention_factor ?? undefined,
        mscale: p.mscale ?? undefined,
        mscaleAllDim: p.mscale_all_dim ?? undefined,
      };
    default:
      throw new ModelConfigError(file, `${field}.rope_type`, "one of default, linear, dynamic, llama3, yarn", show(type));
  }
}
