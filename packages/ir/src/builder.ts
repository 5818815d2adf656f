import { forEachDim } from "./attr-codec.ts";
import { type Call, namedOutputs, splitCall } from "./call.ts";
import { checkAttrs, checkInputs, checkLiteral } from "./check.ts";
import type { Dim, SymbolBounds, SymDim } from "./dim.ts";
import { type DType, isBlock } from "./dtype.ts";
import { GraphError } from "./errors.ts";
import { type AttrRecord, type Graph, type GraphOutput, NONE, type Node, type ValueId, type ValueInfo } from "./graph.ts";
import { type AnyOpDef, type AttrArgs, type InputSpec, type OpDef, type TensorType, writtenSlots } from "./op.ts";
import { type OpTable, opByName, ops } from "./ops/index.ts";
import { shown } from "./shown.ts";
import { Tensor } from "./tensor.ts";

/** A value of the graph that is being built. */
export class Value {
  readonly builder: GraphBuilder;
  readonly id: ValueId;
  constructor(builder: GraphBuilder, id: ValueId) {
    this.builder = builder;
    this.id = id;
  }
  get type(): TensorType {
    return this.builder.typeOf(this.id);
  }
  get shape(): readonly Dim[] {
    return this.type.shape;
  }
  get dtype(): DType {
    return this.type.dtype;
  }
}

/** A value, or a number that becomes a scalar constant of the other operands' dtype. */
export type ValueLike = Value | number;

// The builder's methods are derived from the op table.
type Method<D> = D extends OpDef<infer I, infer A, infer O> ? Call<I, AttrArgs<A>, O, ValueLike, Value> : never;
type LeafKey = "input" | "param" | "constant" | "state";
export type OpMethods = { readonly [K in Exclude<keyof OpTable, LeafKey>]: Method<OpTable[K]> };

/** The graph builder with one method per op. An interface, because records name it while their own types are being inferred. */
export interface Builder extends GraphBuilder, OpMethods {}

/** Builds a Graph node by node; every node is checked and typed as it is added. */
export class GraphBuilder {
  readonly name: string;
  /** Block path that new nodes are attributed to. */
  origin: string | undefined;
  readonly #nodes: Node[] = [];
  readonly #values: ValueInfo[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #outputNames = new Set<string>();
  readonly #constants: Tensor[] = [];
  readonly #constantIndex = new Map<Tensor | string, number>();
  readonly #symbols = new Map<string, SymbolBounds>();
  readonly #leaves = new Map<string, Value>();
  /** State versions that have been written: value id -> the node that wrote it. */
  readonly #written = new Map<ValueId, number>();

  constructor(name: string) {
    if (typeof name !== "string") throw new GraphError("", `expected a name, got ${shown(name)}`);
    this.name = name;
  }

  /** A run-time input. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    return this.#leaf(ops.input, name, { name, dtype, shape });
  }
  /** A weight, bound by name from a WeightStore. */
  param(name: string, dtype: DType, shape: readonly Dim[]): Value {
    return this.#leaf(ops.param, name, { name, dtype, shape });
  }
  /** A named mutable buffer that outlives the run, zero at first (KV caches, counters). */
  state(name: string, dtype: DType, shape: readonly Dim[]): Value {
    return this.#leaf(ops.state, name, { name, dtype, shape });
  }
  /** A constant tensor, which must not change any more, or a number as a scalar of `dtype` (integers must fit). */
  constant(value: Tensor | number, dtype: DType = "f32"): Value {
    if (typeof value === "number") {
      const scalar = Tensor.from(dtype, [], [value]);
      checkLiteral("constant", "value", value, dtype);
      return this.constant(scalar);
    }
    if (!(value instanceof Tensor))
      throw new GraphError(this.name, `constant: expected a number or a tensor (Tensor.from(dtype, shape, values)), got ${shown(value)}`);
    const tensor = value.freeze();
    const key = constantKey(tensor);
    const index = this.#constantIndex.get(key) ?? this.#constants.push(tensor) - 1;
    this.#constantIndex.set(key, index);
    const [out] = this.emit(ops.constant, [], { index, dtype: tensor.dtype, shape: tensor.shape });
    return out as Value;
  }

  /** Make a value an output of the graph. */
  output(name: string, value: Value): this {
    if (typeof name !== "string") throw new GraphError(this.name, `output: expected a name, got ${shown(name)}`);
    this.#own(value, `output "${name}"`);
    if (this.#outputNames.has(name)) throw new GraphError(this.name, `output "${name}" is defined twice`);
    this.#outputNames.add(name);
    this.#outputs.push({ name, value: value.id });
    return this;
  }

  typeOf(id: ValueId): TensorType {
    const v = this.#values[id];
    if (!v) throw new GraphError(this.name, `no value %${id}`);
    return v;
  }

  /** Add a node for `def`; `operands` follow the op's slots (undefined: an absent optional input). The general form of the methods. */
  emit(def: AnyOpDef, operands: readonly (ValueLike | undefined)[], attrs: AttrRecord, label?: string): Value[] {
    const like = operands.find((v) => v instanceof Value && !isBlock(v.dtype) && v.dtype !== "bool") as Value | undefined;
    const ids = operands.map((v) => this.#operand(def, v, like?.dtype ?? "f32"));
    const checked = checkAttrs(def, attrs);
    const types = checkInputs(
      def,
      ids.map((id) => (id === NONE ? undefined : this.typeOf(id))),
      checked,
    );
    return this.#append(def, ids, checked, types, label);
  }

  /**
   * Take over a node of a finished graph, where it has been checked, over operands of the very types that it had there; `types` are
   * those of its results. For passes, which leave most nodes as they are. Not for constants, whose attributes refer to their graph.
   */
  adopt(node: Node, operands: readonly (Value | undefined)[], types: readonly TensorType[]): Value[] {
    const def = opByName(node.op);
    const named = def.traits.leaf === undefined ? undefined : `${def.name}:${node.attrs.name}`;
    if (named !== undefined && this.#leaves.has(named))
      throw new GraphError(this.name, `${def.name} "${node.attrs.name}" is defined twice`);
    for (const v of operands) if (v) this.#own(v, `an input of ${def.name}`);
    const made = this.#append(
      def,
      operands.map((v) => v?.id ?? NONE),
      node.attrs,
      types,
      node.label,
    );
    if (named !== undefined && made[0]) this.#leaves.set(named, made[0]);
    return made;
  }

  #append(def: AnyOpDef, ids: readonly ValueId[], attrs: AttrRecord, types: readonly TensorType[], label: string | undefined): Value[] {
    for (const v of ids) {
      const writer = this.#written.get(v);
      if (writer !== undefined)
        throw new GraphError(this.name, `${def.name} uses state version %${v} after node ${writer} has written it: use the new version`);
    }
    const id = this.#nodes.length;
    const written = writtenSlots(def);
    for (const [i, slot] of written.entries()) {
      const target = ids[slot] ?? NONE;
      if (!this.#isState(target))
        throw new GraphError(this.name, `${def.name} writes "${def.traits.writes?.[i]}": expected a state value, got %${target}`);
      if (written.slice(0, i).some((other) => ids[other] === target))
        throw new GraphError(
          this.name,
          `${def.name} writes "${def.traits.writes?.[i]}": expected a state of its own, got %${target} again`,
        );
    }
    for (const slot of written) this.#written.set(ids[slot] ?? NONE, id);
    const outputs = types.map(({ dtype, shape }, index) => this.#values.push({ dtype, shape, node: id, index }) - 1);
    const addSymbols = (d: SymDim): void => {
      for (const [symbol, bounds] of d.symbols) this.#addSymbol(symbol, bounds);
    };
    forEachDim(attrs, addSymbols);
    for (const { shape } of types) forEachDim(shape, addSymbols);
    this.#nodes.push({
      id,
      op: def.name,
      inputs: ids,
      outputs,
      attrs,
      ...(label === undefined ? {} : { label }),
      ...(this.origin === undefined ? {} : { origin: this.origin }),
    });
    return outputs.map((v) => new Value(this, v));
  }

  /** The finished graph. */
  build(): Graph {
    if (this.#outputs.length === 0 && this.#written.size === 0) throw new GraphError(this.name, "has no outputs and writes no state");
    return {
      name: this.name,
      nodes: [...this.#nodes],
      values: [...this.#values],
      outputs: [...this.#outputs],
      constants: [...this.#constants],
      symbols: new Map(this.#symbols),
    };
  }

  #isState(id: ValueId): boolean {
    const value = this.#values[id];
    const node = value && this.#nodes[value.node];
    if (!node) return false;
    const { leaf, writes = [] } = opByName(node.op).traits;
    return leaf === "state" || value.index < writes.length;
  }

  #leaf(def: AnyOpDef, name: string, attrs: AttrRecord): Value {
    checkAttrs(def, attrs); // the name is a string
    const key = `${def.name}:${name}`;
    const known = this.#leaves.get(key);
    if (known) {
      if (def.name === "param" && JSON.stringify([attrs.dtype, attrs.shape]) === JSON.stringify([known.dtype, known.shape])) return known;
      throw new GraphError(this.name, `${def.name} "${name}" is defined twice`);
    }
    const [value] = this.emit(def, [], attrs);
    this.#leaves.set(key, value as Value);
    return value as Value;
  }

  #operand(def: AnyOpDef, v: ValueLike | undefined | null, dtype: DType): ValueId {
    if (v === undefined || v === null) return NONE;
    if (typeof v !== "number") return this.#own(v, `an input of ${def.name}`).id;
    checkLiteral(def.name, "literal operand", v, dtype);
    return this.constant(v, dtype).id;
  }

  #own(value: Value, what: string): Value {
    if (!(value instanceof Value))
      throw new GraphError(this.name, `${what}: expected a value of the graph, got ${shown(value)}${hint(value)}`);
    if (value.builder !== this) throw new GraphError(this.name, `${what} belongs to graph "${value.builder.name}"`);
    return value;
  }

  #addSymbol(name: string, bounds: SymbolBounds): void {
    const seen = this.#symbols.get(name);
    if (seen && (seen.min !== bounds.min || seen.max !== bounds.max))
      throw new GraphError(this.name, `dim "${name}" has two bounds: [${seen.min}, ${seen.max}] and [${bounds.min}, ${bounds.max}]`);
    this.#symbols.set(name, bounds);
  }
}

const hint = (v: unknown): string => (v instanceof Tensor ? ": constant(tensor) makes it one" : "");

/** Small constants are one when they are equal, large ones when they are the same tensor. */
const constantKey = (t: Tensor): Tensor | string => (t.size <= 64 ? `${t.dtype}[${t.shape}] ${t.bytes}` : t);

for (const [key, def] of Object.entries(ops) as [string, AnyOpDef][]) {
  if (def.traits.leaf) continue;
  const specs = def.inputs as readonly InputSpec[];
  Object.defineProperty(GraphBuilder.prototype, key, {
    value: function method(this: GraphBuilder, ...args: unknown[]): unknown {
      const { operands, label, options } = splitCall<ValueLike>(specs, args, (m) => new GraphError(this.name, `${key}: ${m}`));
      return namedOutputs(def.outputs, this.emit(def, operands, options as AttrRecord, label));
    },
  });
}

/** A builder for a graph called `name`. */
export const graphBuilder = (name: string): Builder => new GraphBuilder(name) as Builder;

/** Build a graph in one expression: the callback returns its outputs by name, or one value called `out`. */
export function define<const R extends Value | Readonly<Record<string, Value>>>(
  name: string,
  body: (g: Builder) => R,
): Graph<R extends Value ? "out" : Extract<keyof R, string>> {
  const g = graphBuilder(name);
  const result = body(g);
  if (typeof result !== "object" || result === null)
    throw new GraphError(name, `expected a value or a record of values from the callback, got ${shown(result)}`);
  for (const [key, value] of Object.entries<Value>(result instanceof Value ? { out: result } : result)) g.output(key, value);
  return g.build() as Graph<R extends Value ? "out" : Extract<keyof R, string>>;
}
