import { bindDim, type Bindings, type Dim, type Graph, SymDim } from "@rlxjs/ir";
import { ExtentError } from "./errors.ts";

/** An extent as an input shows it. */
export interface Observation {
  /** For people: `input "x" axis 0`. */
  readonly where: string;
  readonly dim: Dim;
  readonly actual: number;
}

/**
 * The value of every symbol of a graph, from extents that are given and extents that inputs show. An input extent that is linear in
 * one unknown symbol decides it; everything else must agree.
 */
export function solveExtents(graph: Graph, given: Bindings, observations: readonly Observation[]): Bindings {
  const { name, symbols } = graph;
  // Without a prototype: any name is one of a symbol, `__proto__` too.
  const known: Record<string, number> = Object.create(null);
  const origin = new Map<string, string>();
  const bind = (symbol: string, value: number, where: string): void => {
    const bounds = symbols.get(symbol);
    if (!bounds) throw new ExtentError(name, `unknown extent "${symbol}": expected ${[...symbols.keys()].join(", ") || "none"}`);
    if (!Number.isSafeInteger(value) || value < bounds.min || value > bounds.max)
      throw new ExtentError(name, `extent "${symbol}": expected an integer from ${bounds.min} to ${bounds.max}, got ${value} (${where})`);
    known[symbol] = value;
    origin.set(symbol, where);
  };
  for (const [symbol, value] of Object.entries(given)) bind(symbol, value, "given");
  for (const [symbol, { min, max }] of symbols) if (min === max && !Object.hasOwn(known, symbol)) bind(symbol, min, "its bounds");
  let open = observations;
  while (open.length > 0) {
    const rest: Observation[] = [];
    for (const o of open) {
      const left = bindDim(o.dim, known);
      if (typeof left === "number") {
        if (left !== o.actual) throw new ExtentError(name, `${o.where}: expected ${describe(o.dim, known, origin)}, got ${o.actual}`);
        continue;
      }
      const root = solveLinear(left, o.actual);
      if (root) bind(root.symbol, root.value, `${o.where} is ${o.actual}`);
      else rest.push(o);
    }
    if (rest.length === open.length) break;
    open = rest;
  }
  const missing = [...symbols.keys()].filter((s) => !Object.hasOwn(known, s));
  if (missing.length > 0)
    throw new ExtentError(name, `extent ${missing.map((s) => `"${s}"`).join(", ")}: no input shows it, give it as \`extents\``);
  return known;
}

/** `2*seq + 1 = 75 (seq 37 from input "x" axis 0 is 37)` for an extent whose symbols are known. */
function describe(dim: Dim, known: Bindings, origin: ReadonlyMap<string, string>): string {
  const value = bindDim(dim, known);
  if (!(dim instanceof SymDim)) return `${value}`;
  return `${dim} = ${value} (${[...dim.symbols.keys()].map((s) => `${s} = ${known[s]}: ${origin.get(s)}`).join("; ")})`;
}

/** The symbol of a polynomial `a*s + b`, and its value where the polynomial is `actual`. */
function solveLinear(dim: SymDim, actual: number): { symbol: string; value: number } | undefined {
  const linear = dim.terms.filter((t) => t.symbols.length > 0);
  const [term] = linear;
  const [symbol] = term?.symbols ?? [];
  if (!term || symbol === undefined || linear.length > 1 || term.symbols.length > 1) return undefined;
  const constant = dim.terms.find((t) => t.symbols.length === 0)?.coef ?? 0;
  return { symbol, value: (actual - constant) / term.coef };
}
