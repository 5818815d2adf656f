import { RlxError } from "../errors.ts";
import type { AttrRecord } from "../graph.ts";
import type { TensorType } from "../op.ts";
import type { Tensor } from "../tensor.ts";

/** Dense number of a value within its module. */
export type HirValueId = number;
/** A weight: its name, or a value of the module that is made of weights. */
export type HirWeight = string | HirValueId;
export type HirAttrs = AttrRecord;

/** One block applied. */
export interface HirNode {
  readonly id: number;
  /** Name of the block's record. */
  readonly block: string;
  /** By input slot (an absent optional: NONE; a variadic slot is the rest of the list). */
  readonly inputs: readonly HirValueId[];
  readonly outputs: readonly HirValueId[];
  readonly attrs: HirAttrs;
  /** By weight slot; a list is stacked. */
  readonly weights: Readonly<Record<string, HirWeight | readonly HirWeight[]>>;
  /** Path of the scopes that were open, such as `layers.0`. */
  readonly scope?: string;
  readonly label?: string;
}

/** An immutable model of blocks. It has no types yet: dtypes come from the checkpoint when it is lowered. */
export interface HirModule<Out extends string = string> {
  readonly name: string;
  readonly nodes: readonly HirNode[];
  /** The node and output slot that makes each value. */
  readonly values: readonly { readonly node: number; readonly index: number }[];
  readonly outputs: readonly { readonly name: Out; readonly value: HirValueId }[];
  /** Data of `constant` blocks, by their `index` attribute. */
  readonly constants: readonly Tensor[];
}

/** What the checkpoint says of each weight; undefined: it has none of that name. */
export type ParamTypes = (name: string) => TensorType | undefined;

/** A module that breaks a rule of HIR, or a block that does not fit its operands or weights. */
export class HirError extends RlxError {
  constructor(module: string, message: string, options?: ErrorOptions) {
    super("ERR_HIR", `hir "${module}": ${message}`);
    if (options) this.cause = options.cause;
  }
}

/** A weight that a block names and the checkpoint does not have. */
export class MissingWeightError extends RlxError {
  readonly block: string;
  readonly weight: string;
  constructor(module: string, block: string, weight: string) {
    super("ERR_MISSING_WEIGHT", `hir "${module}": ${block}: no weight "${weight}" in the checkpoint`);
    this.block = block;
    this.weight = weight;
  }
}

/** Where a node stands, for errors and for `Node.origin`: scopes, block name, label. */
export const blockPath = ({ scope, block, label }: Pick<HirNode, "scope" | "block" | "label">): string =>
  `${scope === undefined ? "" : `${scope}/`}${block}${label === undefined ? "" : `:${label}`}`;

/** All weight names of a module, in order of first use. */
export function weightNames(module: HirModule): string[] {
  const names = new Set<string>();
  for (const node of module.nodes) for (const w of Object.values(node.weights).flat()) if (typeof w === "string") names.add(w);
  return [...names];
}
