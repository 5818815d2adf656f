import { type Call, namedOutputs, splitCall } from "../call.ts";
import { checkAttrs } from "../check.ts";
import type { Dim } from "../dim.ts";
import type { DType } from "../dtype.ts";
import { type AttrRecord, NONE } from "../graph.ts";
import type { AttrArgs, InputSpec, OpDef } from "../op.ts";
import { type OpTable, ops } from "../ops/index.ts";
import { shown } from "../shown.ts";
import { Tensor } from "../tensor.ts";
import { type AnyBlockDef, type BlockArgs, type BlockDef, outputNames, type WeightSpec } from "./block.ts";
import { type BlockTable, blocks } from "./blocks/index.ts";
import { HirError, type HirModule, type HirNode, type HirValueId, type HirWeight } from "./module.ts";

/** A value of the module that is being built; its type is known when the module is lowered. */
export class HirValue {
  readonly builder: HirBuilderBase;
  readonly id: HirValueId;
  constructor(builder: HirBuilderBase, id: HirValueId) {
    this.builder = builder;
    this.id = id;
  }
}
/** A value, or a number for an op that takes scalars. */
export type HirOperand = HirValue | number;

type LeafBlock = "input" | "constant" | "param" | "op";
type BlockMethod<D> =
  D extends BlockDef<infer I, infer A, infer P, infer O> ? Call<I, BlockArgs<A, P, HirValue>, O, HirValue, HirValue> : never;
type OpMethod<D> = D extends OpDef<infer I, infer A, infer O> ? Call<I, AttrArgs<A>, O, HirOperand, HirValue> : never;
type LeafOp = "input" | "param" | "constant" | "state";

/** One method per block of the table. */
export type BlockMethods = { readonly [K in Exclude<keyof BlockTable, LeafBlock>]: BlockMethod<BlockTable[K]> };
/** One method per op of the op table: the way to what no block does. */
export type HirOps = { readonly [K in Exclude<keyof OpTable, LeafOp>]: OpMethod<OpTable[K]> };
export type HirBuilder = HirBuilderBase & BlockMethods;

/** Records blocks; nothing is computed or typed until `lowerHir`. */
export class HirBuilderBase {
  readonly name: string;
  /** Every op of the op table as a block: `h.ops.mul(x, 8)`. */
  readonly ops: HirOps;
  readonly #nodes: HirNode[] = [];
  readonly #values: { node: number; index: number }[] = [];
  readonly #outputs: { name: string; value: HirValueId }[] = [];
  readonly #constants: Tensor[] = [];
  readonly #inputs = new Set<string>();
  readonly #scopes: string[] = [];

  constructor(name: string) {
    if (typeof name !== "string") throw new HirError("", `expected a name, got ${shown(name)}`);
    this.name = name;
    this.ops = opMethods(this);
  }

  /** A run-time input. */
  input(name: string, dtype: DType, shape: readonly Dim[]): HirValue {
    if (this.#inputs.has(name)) throw new HirError(this.name, `input "${name}" is defined twice`);
    this.#inputs.add(name);
    return this.#one(blocks.input, { name, dtype, shape });
  }
  /** A weight as a value, to compute with. Blocks name the weights that they use themselves. */
  param(name: string): HirValue {
    return this.#one(blocks.param, {}, { weight: this.weightRef(name, "param") });
  }
  /** A tensor that is part of the module, and must not change any more. */
  constant(value: Tensor): HirValue {
    if (!(value instanceof Tensor)) throw new HirError(this.name, `constant: expected a tensor, got ${shown(value)}`);
    return this.#one(blocks.constant, { index: this.#constants.push(value.freeze()) - 1, dtype: value.dtype, shape: value.shape });
  }

  /** Blocks that `body` adds belong to `name`; scopes nest with `/`. */
  scope<T>(name: string, body: () => T): T {
    this.#scopes.push(name);
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  output(name: string, value: HirValue): this {
    this.#own(value, `output "${name}"`);
    if (this.#outputs.some((o) => o.name === name)) throw new HirError(this.name, `output "${name}" is defined twice`);
    this.#outputs.push({ name, value: value.id });
    return this;
  }

  /** Record a block. The general form of the methods: `inputs` follow the block's slots. */
  apply(
    def: AnyBlockDef,
    inputs: readonly (HirValue | undefined)[],
    attrs: AttrRecord,
    weights: HirNode["weights"] = {},
    label?: string,
  ): HirValue[] {
    for (const v of inputs) if (v !== undefined && v !== null) this.#own(v, `an input of ${def.name}`);
    const checked = checkAttrs(
      { ...def, inputs: [...def.inputs, ...def.params.map((p: WeightSpec) => ({ ...p, mode: "optional" }))] },
      attrs,
    );
    const id = this.#nodes.length;
    const outputs = outputNames(def, checked).map((_, index) => this.#values.push({ node: id, index }) - 1);
    this.#nodes.push({
      id,
      block: def.name,
      inputs: inputs.map((v) => v?.id ?? NONE),
      outputs,
      attrs: checked,
      weights,
      ...(this.#scopes.length === 0 ? {} : { scope: this.#scopes.join("/") }),
      ...(label === undefined ? {} : { label }),
    });
    return outputs.map((v) => new HirValue(this, v));
  }

  /** The reference of a weight argument: its name, or the number of the value. */
  weightRef(given: unknown, what: string): HirWeight {
    if (typeof given === "string") return given;
    if (!(given instanceof HirValue)) throw new HirError(this.name, `${what}: expected the name of a weight, got ${shown(given)}`);
    this.#own(given, what);
    return given.id;
  }

  build(): HirModule {
    if (this.#outputs.length === 0) throw new HirError(this.name, "has no outputs");
    return {
      name: this.name,
      nodes: [...this.#nodes],
      values: [...this.#values],
      outputs: [...this.#outputs],
      constants: [...this.#constants],
    };
  }

  #one(def: AnyBlockDef, attrs: AttrRecord, weights: HirNode["weights"] = {}): HirValue {
    return this.apply(def, [], attrs, weights)[0] as HirValue;
  }
  #own(value: HirValue, what: string): void {
    if (!(value instanceof HirValue)) throw new HirError(this.name, `${what}: expected a value of the module, got ${shown(value)}`);
    if (value.builder !== this) throw new HirError(this.name, `${what} belongs to module "${value.builder.name}"`);
  }
}

for (const [key, def] of Object.entries(blocks) as [string, AnyBlockDef][]) {
  if (key in HirBuilderBase.prototype || def === blocks.op) continue;
  Object.defineProperty(HirBuilderBase.prototype, key, {
    value: function method(this: HirBuilderBase, ...args: unknown[]): unknown {
      const fail = (m: string) => new HirError(this.name, `${key}: ${m}`);
      const { operands, label, options } = splitCall<HirValue>(def.inputs as readonly InputSpec[], args, fail);
      (def.inputs as readonly InputSpec[]).forEach((s, i) => {
        if (s.mode === "required" && !(operands[i] instanceof HirValue))
          throw fail(`operand "${s.name}": expected a value of the module, got ${shown(operands[i])}`);
      });
      const weights: Record<string, HirWeight | HirWeight[]> = {};
      for (const { name, mode } of def.params as readonly WeightSpec[]) {
        const given = options[name];
        delete options[name];
        if (given === undefined && mode === "optional") continue;
        weights[name] =
          mode === "stacked" && Array.isArray(given)
            ? given.map((w, i) => this.weightRef(w, `${key}: weight "${name}"[${i}]`))
            : this.weightRef(given, `${key}: weight "${name}"`);
      }
      const made = this.apply(def, operands, options as AttrRecord, weights, label);
      return namedOutputs(def.outputs as readonly string[], made);
    },
  });
}

function opMethods(h: HirBuilderBase): HirOps {
  const methods: Record<string, unknown> = {};
  for (const [key, def] of Object.entries(ops) as [string, OpDef][]) {
    if (def.traits.leaf) continue;
    methods[key] = (...args: unknown[]): unknown => {
      const { operands, label, options } = splitCall<HirOperand>(def.inputs, args, (m) => new HirError(h.name, `${key}: ${m}`));
      const numbers = Object.fromEntries(operands.flatMap((v, i) => (typeof v === "number" ? [[i, v]] : [])));
      const inputs = operands.map((v) => (typeof v === "number" ? undefined : v));
      const made = h.apply(
        blocks.op,
        inputs,
        { op: def.name, attrs: checkAttrs(def, options as AttrRecord), numbers },
        {},
        label ?? def.name,
      );
      return namedOutputs(def.outputs, made);
    };
  }
  return methods as HirOps;
}

/** A builder for a module called `name`. */
export const hirBuilder = (name: string): HirBuilder => new HirBuilderBase(name) as HirBuilder;

/** Build a module in one expression: the callback returns its outputs by name, or one value called `out`. */
export function defineHir<const R extends HirValue | Readonly<Record<string, HirValue>>>(
  name: string,
  body: (h: HirBuilder) => R,
): HirModule<R extends HirValue ? "out" : Extract<keyof R, string>> {
  const h = hirBuilder(name);
  const result = body(h);
  if (typeof result !== "object" || result === null)
    throw new HirError(name, `expected a value or a record of values from the callback, got ${shown(result)}`);
  for (const [key, value] of Object.entries<HirValue>(result instanceof HirValue ? { out: result } : result)) h.output(key, value);
  return h.build() as HirModule<R extends HirValue ? "out" : Extract<keyof R, string>>;
}
