import type { Builder, Value } from "../builder.ts";
import type { AttrArgs, Attrs, AttrValues, Inputs, Named, Outputs, PerOutput } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import type { HirAttrs } from "./module.ts";

/** A weight slot of a block. `stacked`: also takes a list of equally shaped weights, stacked along a new first axis. */
export interface WeightSpec {
  readonly name: string;
  readonly mode: "required" | "optional" | "stacked";
}
export const weight = <const N extends string>(name: N) => ({ name, mode: "required" }) as const;
export const optionalWeight = <const N extends string>(name: N) => ({ name, mode: "optional" }) as const;
export const stackedWeight = <const N extends string>(name: N) => ({ name, mode: "stacked" }) as const;

export type Weights = readonly WeightSpec[];
type WeightName<P extends Weights, M extends WeightSpec["mode"]> = Extract<P[number], { mode: M }>["name"];

/** Weights as a caller gives them: names, or values of the module that are made of weights (`V`). */
export type WeightArgs<P extends Weights, V> = { readonly [K in WeightName<P, "required">]: string | V } & {
  readonly [K in WeightName<P, "optional">]?: string | V | undefined;
} & { readonly [K in WeightName<P, "stacked">]: string | V | readonly (string | V)[] };
/** Weights as a block's lowering sees them. */
export type WeightValues<P extends Weights> = { readonly [K in WeightName<P, "required" | "stacked">]: Value } & {
  readonly [K in WeightName<P, "optional">]?: Value | undefined;
};

/** One block is one record. Its builder method, the checks, the printer and the docs are derived from it. */
export interface BlockDef<
  I extends Inputs = Inputs,
  A extends Attrs = Attrs,
  P extends Weights = Weights,
  O extends Outputs = readonly ["out"],
> {
  readonly name: string;
  readonly doc: string;
  readonly inputs: I;
  readonly attrs: A;
  readonly params: P;
  /** Output names; a function where they depend on the attributes (see the `op` block). */
  readonly outputs: O | ((attrs: HirAttrs) => readonly string[]);
  /** Expand into graph nodes. Runs once the types of all operands and weights are known. */
  lower(
    b: Builder,
    inputs: Named<I, Value>,
    attrs: AttrValues<A>,
    weights: WeightValues<P>,
    constants: readonly Tensor[],
  ): PerOutput<O, Value>;
}

type DefineArgs<I extends Inputs, A extends Attrs, P extends Weights, O extends Outputs> = Omit<
  BlockDef<I, A, P, O>,
  "inputs" | "attrs" | "params" | "outputs"
> & {
  readonly inputs?: I;
  readonly attrs?: A;
  readonly params?: P;
  readonly outputs?: O | ((attrs: HirAttrs) => readonly string[]);
};

/** Define a block. Without `outputs` it has one; inputs, attributes and weights default to none. */
export function defineBlock<
  const I extends Inputs = readonly [],
  const A extends Attrs = Record<never, never>,
  const P extends Weights = readonly [],
  const O extends Outputs = readonly ["out"],
>(def: DefineArgs<I, A, P, O>): BlockDef<I, A, P, O> {
  return {
    inputs: [] as Inputs as I,
    attrs: {} as A,
    params: [] as Weights as P,
    outputs: ["out"] as Outputs as O,
    ...def,
  };
}

/** Any block record, for code that works on all of them. */
// biome-ignore lint/suspicious/noExplicitAny: the table is heterogeneous; every use goes through the record's own checks
export type AnyBlockDef = BlockDef<any, any, any, any>;

/** The named arguments of a block besides its operands. */
export type BlockArgs<A extends Attrs, P extends Weights, V> = AttrArgs<A> & WeightArgs<P, V>;

export const outputNames = (def: AnyBlockDef, attrs: HirAttrs): readonly string[] =>
  typeof def.outputs === "function" ? def.outputs(attrs) : def.outputs;
