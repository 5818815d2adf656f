import { RlxError } from "../../errors.ts";
import { shown } from "../../shown.ts";
import type { AnyBlockDef } from "../block.ts";
import { attention } from "./attention.ts";
import { embedding } from "./embedding.ts";
import { constant, input, op, param } from "./leaf.ts";
import { linear, lmHead } from "./linear.ts";
import { geglu, mlp, swiglu } from "./mlp.ts";
import { moe } from "./moe.ts";
import { layerNorm, residualRmsNorm, rmsNorm } from "./norm.ts";
import { ropeTables } from "./rope-tables.ts";

/** The block table. The HIR builder's methods, the checks and the printer are derived from it. */
export const blocks = {
  input,
  param,
  constant,
  op,
  embedding,
  linear,
  lmHead,
  rmsNorm,
  layerNorm,
  residualRmsNorm,
  swiglu,
  geglu,
  mlp,
  moe,
  ropeTables,
  attention,
} as const satisfies Record<string, AnyBlockDef>;

export type BlockTable = typeof blocks;

const byName = new Map<string, AnyBlockDef>(Object.values(blocks).map((def) => [def.name, def]));

/** The record of a block by its name in modules (`rms_norm`). */
export function blockByName(name: string): AnyBlockDef {
  const def = byName.get(name);
  if (!def) throw new RlxError("ERR_HIR", `unknown block ${shown(name)}: expected one of ${[...byName.keys()].join(", ")}`);
  return def;
}
