import type { SymbolBounds } from "./dim.ts";
import type { AttrTypes, TensorType } from "./op.ts";
import type { Tensor } from "./tensor.ts";

/** Dense number of a value within its graph. */
export type ValueId = number;
/** An absent optional input. */
export const NONE: ValueId = -1;

export interface AttrRecord {
  readonly [name: string]: AttrTypes[keyof AttrTypes] | undefined;
}

/** One op applied: inputs follow the op's input slots (absent optional: NONE; a variadic slot is the rest of the list). */
export interface Node {
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly ValueId[];
  readonly outputs: readonly ValueId[];
  readonly attrs: AttrRecord;
  /** Name for people, in prints and traces. */
  readonly label?: string;
  /** The HIR block that this node was lowered from, such as `layers.0/attention`. */
  readonly origin?: string;
}

export interface ValueInfo extends TensorType {
  /** The node that makes this value. */
  readonly node: number;
  /** Which of its outputs it is. */
  readonly index: number;
}

export interface GraphOutput<Name extends string = string> {
  readonly name: Name;
  readonly value: ValueId;
}

/**
 * An immutable dataflow graph in SSA form. Nodes are in execution order, every input id is smaller than the ids of the node's
 * own outputs. A state value has versions: `state` reads the current one, an op with the `writes` trait makes the next; a version
 * may be written once, and is not used after that. `Out` keeps the names of the outputs where the compiler knows them.
 */
export interface Graph<Out extends string = string> {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly values: readonly ValueInfo[];
  readonly outputs: readonly GraphOutput<Out>[];
  /** Data of `constant` nodes, by their `index` attribute. */
  readonly constants: readonly Tensor[];
  /** Every symbol that occurs, with its bounds. */
  readonly symbols: ReadonlyMap<string, SymbolBounds>;
}
