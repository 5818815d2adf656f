import type { HirModule } from "@rlxjs/ir";
import type { Architecture, ModelConfig } from "../config/model-config.ts";
import { buildBert, type EncoderPlan } from "./bert.ts";
import { buildDecoder, type DecoderPlan, type HasWeight } from "./decoder.ts";
import { gemma3Layer } from "./gemma3.ts";
import { llamaLayer } from "./llama.ts";

export type Family =
  | { readonly kind: "decoder"; build(config: ModelConfig, has: HasWeight, plan: DecoderPlan): HirModule }
  | { readonly kind: "encoder"; build(config: ModelConfig, plan: EncoderPlan): HirModule };

const decoder = (layer: Parameters<typeof buildDecoder>[3]): Family => ({
  kind: "decoder",
  build: (config, has, plan) => buildDecoder(config, has, plan, layer),
});

/** The model families by architecture. */
export const families: Readonly<Record<Architecture, Family>> = {
  llama: decoder(llamaLayer),
  qwen3: decoder(llamaLayer),
  qwen3moe: decoder(llamaLayer),
  gemma3: decoder(gemma3Layer),
  bert: { kind: "encoder", build: buildBert },
};

export { cacheNames, cacheTokenAxis, type DecoderPlan, type HasWeight } from "./decoder.ts";
export type { EncoderPlan } from "./bert.ts";
