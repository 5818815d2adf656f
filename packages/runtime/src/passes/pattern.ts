import { type AnyOpDef, NONE, type Node, type ValueId } from "@rlxjs/ir";
import type { GraphView } from "./graph-view.ts";

/** What a rule looks for: a value of any kind, a constant, or an op over patterns. `N` are the names that it captures. */
export type Pattern<N extends string = string> =
  | { readonly kind: "any"; readonly name: N }
  | { readonly kind: "constant"; readonly name?: N; readonly test: (element: number) => boolean }
  | OpPattern<N>;
export interface OpPattern<N extends string = string> {
  readonly kind: "op";
  /** An op's name in graphs, or a question about its record. */
  readonly op: string | ((def: AnyOpDef) => boolean);
  /** Patterns of the first operands; the others may be anything. */
  readonly args: readonly Pattern<N>[];
  /** The node's result must have no other reader. */
  readonly sole: boolean;
  readonly name?: N;
}

/** Any value; the same name twice means the same value. */
export const any = <const N extends string>(name: N): Pattern<N> => ({ kind: "any", name });
/** A constant whose elements all equal one number that passes the test. */
export const constant = <const N extends string>(name: N, test: (element: number) => boolean = () => true): Pattern<N> => ({
  kind: "constant",
  name,
  test,
});
/** A constant whose elements all are this very number: 0 and -0 differ. */
export const is = (element: number): Pattern<never> => ({ kind: "constant", test: (v) => Object.is(v, element) });
/** An op over patterns; operands of commutative ops match in both orders. */
export const op = <const N extends string = never>(name: OpPattern["op"], ...args: readonly Pattern<N>[]): OpPattern<N> => ({
  kind: "op",
  op: name,
  args,
  sole: false,
});
/** The op as part of a fusion: it disappears only when nobody else reads it. */
export const sole = <N extends string>(pattern: OpPattern<N>): OpPattern<N> => ({ ...pattern, sole: true });
/** Capture the node's result as well. */
export const as = <const M extends string, N extends string>(name: M, pattern: OpPattern<N>): OpPattern<M | N> => ({ ...pattern, name });

export interface Match<N extends string = string> {
  readonly root: Node;
  readonly values: Readonly<Record<N, ValueId>>;
  /** The node that makes a captured value. */
  node(name: N): Node;
  /** A node whose result should have had no other reader: the pattern is nearly there. */
  readonly shared?: Node;
}

interface Captures {
  readonly values: ReadonlyMap<string, ValueId>;
  readonly shared?: Node;
}

export const rootMatches = (pattern: OpPattern, def: AnyOpDef): boolean =>
  typeof pattern.op === "string" ? pattern.op === def.name : pattern.op(def);

/** Match a pattern at a node. */
export function matchPattern<N extends string>(view: GraphView, pattern: OpPattern<N>, root: Node): Match<N> | undefined {
  const found = matchNode(view, pattern, root, { values: new Map() });
  if (!found) return undefined;
  const values = Object.fromEntries(found.values) as Record<N, ValueId>;
  return { root, values, node: (name) => view.producer(values[name]), ...(found.shared ? { shared: found.shared } : {}) };
}

function matchNode(view: GraphView, pattern: OpPattern, node: Node, captures: Captures): Captures | undefined {
  const def = view.def(node);
  if (!rootMatches(pattern, def)) return undefined;
  const straight = matchArgs(view, pattern, node.inputs, captures);
  if ((straight && !straight.shared) || !def.traits.commutative || pattern.args.length < 2) return straight;
  const [first = NONE, second = NONE, ...rest] = node.inputs;
  return matchArgs(view, pattern, [second, first, ...rest], captures) ?? straight;
}

function matchArgs(view: GraphView, pattern: OpPattern, inputs: readonly ValueId[], captures: Captures): Captures | undefined {
  let current: Captures | undefined = captures;
  for (const [i, arg] of pattern.args.entries()) current = current && matchValue(view, arg, inputs[i] ?? NONE, current);
  return current;
}

function matchValue(view: GraphView, pattern: Pattern, value: ValueId, captures: Captures): Captures | undefined {
  if (value === NONE) return undefined;
  if (pattern.kind === "op") {
    if (view.type(value).index !== 0) return undefined;
    const node = view.producer(value);
    const inner = matchNode(view, pattern, node, captures);
    if (!inner) return undefined;
    const checked = pattern.sole && view.soleUser(value) === undefined ? { ...inner, shared: node } : inner;
    return pattern.name === undefined ? checked : capture(checked, pattern.name, value);
  }
  if (pattern.kind === "constant") {
    const element = view.splat(value);
    if (element === undefined || !pattern.test(element)) return undefined;
    return pattern.name === undefined ? captures : capture(captures, pattern.name, value);
  }
  return capture(captures, pattern.name, value);
}

function capture(captures: Captures, name: string, value: ValueId): Captures | undefined {
  const known = captures.values.get(name);
  if (known !== undefined) return known === value ? captures : undefined;
  return { ...captures, values: new Map(captures.values).set(name, value) };
}
