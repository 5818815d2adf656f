import { type Builder, graphBuilder, type Value } from "../builder.ts";
import { namedInputs } from "../check.ts";
import { shapeEquals } from "../dim.ts";
import { RlxError, ShapeError } from "../errors.ts";
import { type Graph, NONE } from "../graph.ts";
import { showType } from "../shape.ts";
import { outputNames, type WeightSpec } from "./block.ts";
import { blockByName } from "./blocks/index.ts";
import { blockPath, HirError, type HirModule, type HirNode, type HirWeight, MissingWeightError, type ParamTypes } from "./module.ts";

/**
 * Expand every block into graph nodes that carry the block's path as `origin`. `params` says what the checkpoint has: dtypes and
 * shapes of weights come from there, so one module serves f32, f16 and quantized checkpoints.
 */
export function lowerHir<Out extends string>(module: HirModule<Out>, params: ParamTypes = () => undefined): Graph<Out> {
  const work = lowerHirWork(module, params);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** The same, interruptible: yields after every block. */
export function* lowerHirWork<Out extends string>(
  module: HirModule<Out>,
  params: ParamTypes = () => undefined,
): Generator<undefined, Graph<Out>> {
  const g = graphBuilder(module.name);
  const values: Value[] = [];
  for (const node of module.nodes) {
    yield;
    const path = blockPath(node);
    g.origin = path;
    try {
      lowerNode(g, module, node, values, params);
    } catch (error) {
      if (error instanceof RlxError && !(error instanceof MissingWeightError)) {
        const weights = Object.values(node.weights)
          .flat()
          .filter((w) => typeof w === "string");
        const where = weights.length === 0 ? path : `${path} (${weights.slice(0, 4).join(", ")}${weights.length > 4 ? ", ..." : ""})`;
        throw new HirError(module.name, `${where}: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }
  g.origin = undefined;
  for (const { name, value } of module.outputs) g.output(name, valueAt(module, values, value));
  return g.build() as Graph<Out>;
}

function lowerNode(g: Builder, module: HirModule, node: HirNode, values: Value[], params: ParamTypes): void {
  const def = blockByName(node.block);
  const load = (ref: HirWeight): Value => {
    if (typeof ref === "number") return valueAt(module, values, ref);
    const type = params(ref);
    if (!type) throw new MissingWeightError(module.name, blockPath(node), ref);
    return g.param(ref, type.dtype, type.shape);
  };
  const weights: Record<string, Value> = {};
  for (const { name } of def.params as readonly WeightSpec[]) {
    const ref = Object.hasOwn(node.weights, name) ? node.weights[name] : undefined;
    if (ref !== undefined) weights[name] = typeof ref === "object" ? stack(g, name, ref.map(load)) : load(ref);
  }
  const inputs = node.inputs.map((id) => (id === NONE ? undefined : valueAt(module, values, id)));
  const result: unknown = def.lower(g, namedInputs(def, inputs) as never, node.attrs as never, weights as never, module.constants);
  const names = outputNames(def, node.attrs);
  names.forEach((name, i) => {
    const value = names.length === 1 ? (result as Value) : (result as Record<string, Value>)[name];
    const id = node.outputs[i];
    if (value && id !== undefined) values[id] = value;
  });
}

function valueAt(module: HirModule, values: readonly Value[], id: number): Value {
  const value = values[id];
  if (!value) throw new HirError(module.name, `value %${id} is used before it is made`);
  return value;
}

/** Equally shaped weights along a new first axis: a weight expression, evaluated once when the model is prepared. */
function stack(g: Builder, name: string, parts: readonly Value[]): Value {
  const [first] = parts;
  if (!first) throw new ShapeError(name, "expected at least one weight, got an empty list");
  const other = parts.find((p) => p.dtype !== first.dtype || !shapeEquals(p.shape, first.shape));
  if (other) throw new ShapeError(name, `expected weights of one type, got ${showType(first.type)} and ${showType(other.type)}`);
  return g.reshape(g.concat(parts, { axis: 0 }), { shape: [parts.length, ...first.shape] });
}
