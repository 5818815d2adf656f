import { RlxError } from "./errors.ts";
import { shown } from "./shown.ts";

/** An extent: a number, or a polynomial with integer coefficients over named, bounded symbols. */
export type Dim = number | SymDim;
export type Bindings = Readonly<Record<string, number>>;
export interface SymbolBounds {
  readonly min: number;
  readonly max: number;
}
interface Term {
  readonly coef: number;
  /** Sorted symbol names; a power repeats the name. Empty: the constant term. */
  readonly symbols: readonly string[];
}

/** A polynomial in canonical form: build it with `dim` and the functions below. */
export class SymDim {
  readonly terms: readonly Term[];
  readonly symbols: ReadonlyMap<string, SymbolBounds>;
  /** Canonical text, such as `2*seq + 1`: equal keys mean equal dims. */
  readonly key: string;
  constructor(terms: readonly Term[], symbols: ReadonlyMap<string, SymbolBounds>) {
    this.terms = terms;
    this.symbols = symbols;
    this.key = terms.map(termText).join(" + ");
  }
  toString(): string {
    return this.key;
  }
  toJSON(): string {
    return this.key;
  }
}

const termText = ({ coef, symbols }: Term): string =>
  symbols.length === 0 ? `${coef}` : coef === 1 ? symbols.join("*") : `${coef}*${symbols.join("*")}`;

/** A named extent with inclusive bounds. */
export function dim(name: string, bounds: SymbolBounds): SymDim {
  if (typeof name !== "string" || !/^[A-Za-z_]\w*$/.test(name))
    throw new RlxError("ERR_DIM", `dim name: expected an identifier, got ${shown(name)}`);
  const { min, max } = bounds ?? {};
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || min < 0 || max < min)
    throw new RlxError("ERR_DIM", `dim "${name}": expected integers 0 <= min <= max, got min ${shown(min)}, max ${shown(max)}`);
  return new SymDim([{ coef: 1, symbols: [name] }], new Map([[name, { min, max }]]));
}

const termsOf = (d: Dim): readonly Term[] => (typeof d === "number" ? (d === 0 ? [] : [{ coef: d, symbols: [] }]) : d.terms);
const symbolsOf = (d: Dim): ReadonlyMap<string, SymbolBounds> => (typeof d === "number" ? new Map() : d.symbols);

function canonical(terms: Iterable<Term>, a: Dim, b: Dim): Dim {
  const byKey = new Map<string, Term>();
  for (const t of terms) {
    const key = t.symbols.join("*");
    const coef = (byKey.get(key)?.coef ?? 0) + t.coef;
    if (!Number.isSafeInteger(coef)) throw new RlxError("ERR_DIM", `dim arithmetic overflows: ${a} and ${b}`);
    byKey.set(key, { coef, symbols: t.symbols });
  }
  const kept = [...byKey.values()].filter((t) => t.coef !== 0);
  // Higher degree first, then by name; the constant last.
  kept.sort((x, y) => y.symbols.length - x.symbols.length || (x.symbols.join() < y.symbols.join() ? -1 : 1));
  if (kept.length === 0) return 0;
  const [first] = kept;
  if (first && kept.length === 1 && first.symbols.length === 0) return first.coef;
  const symbols = new Map<string, SymbolBounds>();
  const used = new Set(kept.flatMap((t) => t.symbols));
  for (const source of [symbolsOf(a), symbolsOf(b)])
    for (const [name, bounds] of source) {
      if (!used.has(name)) continue;
      const seen = symbols.get(name);
      if (seen && (seen.min !== bounds.min || seen.max !== bounds.max))
        throw new RlxError("ERR_DIM", `dim "${name}" has two bounds: [${seen.min}, ${seen.max}] and [${bounds.min}, ${bounds.max}]`);
      symbols.set(name, bounds);
    }
  return new SymDim(kept, symbols);
}

/** An extent that arithmetic on two numbers gives: exact, or an error. */
function exact(n: number, a: Dim, b: Dim): number {
  if (!Number.isSafeInteger(n)) throw new RlxError("ERR_DIM", `dim arithmetic overflows: ${a} and ${b}`);
  return n === 0 ? 0 : n; // never -0
}

export const addDims = (a: Dim, b: Dim): Dim =>
  typeof a === "number" && typeof b === "number" ? exact(a + b, a, b) : canonical([...termsOf(a), ...termsOf(b)], a, b);

export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return exact(a * b, a, b);
  const out: Term[] = [];
  for (const x of termsOf(a)) for (const y of termsOf(b)) out.push({ coef: x.coef * y.coef, symbols: [...x.symbols, ...y.symbols].sort() });
  return canonical(out, a, b);
}

export const subDims = (a: Dim, b: Dim): Dim => addDims(a, mulDims(b, -1));
export const productOf = (dims: readonly Dim[]): Dim => dims.reduce<Dim>(mulDims, 1);

/** a / b when it is a polynomial again (b a single term), else undefined. */
export function divDims(a: Dim, b: Dim): Dim | undefined {
  if (dimEquals(a, b) && a !== 0) return 1;
  const divisor = termsOf(b);
  const [d] = divisor;
  if (!d || divisor.length !== 1) return undefined;
  const out: Term[] = [];
  for (const t of termsOf(a)) {
    if (t.coef % d.coef !== 0) return undefined;
    const rest = [...t.symbols];
    for (const s of d.symbols) {
      const at = rest.indexOf(s);
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    out.push({ coef: t.coef / d.coef, symbols: rest });
  }
  return canonical(out, a, b);
}

/** floor(a / n), n > 0, when that is a polynomial: every symbolic term is a multiple of n. Else undefined. */
export function floorDivDims(a: Dim, n: number): Dim | undefined {
  const rest = (termsOf(a).find((t) => t.symbols.length === 0)?.coef ?? 0) % n;
  return divDims(subDims(a, rest < 0 ? rest + n : rest), n);
}

/** Whether every value of the extent is a multiple of n. */
export const isMultiple = (d: Dim, n: number): boolean => termsOf(d).every((t) => t.coef % n === 0);

export const dimEquals = (a: Dim, b: Dim): boolean => (typeof a === "number" || typeof b === "number" ? a === b : a.key === b.key);

export const shapeEquals = (a: readonly Dim[], b: readonly Dim[]): boolean =>
  a.length === b.length && a.every((d, i) => dimEquals(d, b[i] ?? -1));

function bound(d: Dim, side: "min" | "max"): number {
  let sum = 0;
  for (const t of termsOf(d)) {
    const pick = t.coef > 0 === (side === "max") ? "max" : "min";
    let v = t.coef;
    for (const s of t.symbols) v *= symbolsOf(d).get(s)?.[pick] ?? Number.NaN;
    sum += v;
  }
  return sum;
}
/** A lower bound of the extent over all bindings (interval arithmetic). */
export const dimMin = (d: Dim): number => (typeof d === "number" ? d : bound(d, "min"));
/** An upper bound of the extent over all bindings (interval arithmetic). */
export const dimMax = (d: Dim): number => (typeof d === "number" ? d : bound(d, "max"));

/** The extent at `bindings`; throws when a symbol is unbound. */
export function evalDim(d: Dim, bindings: Bindings): number {
  if (typeof d === "number") return d;
  let sum = 0;
  for (const t of d.terms) {
    let v = t.coef;
    for (const s of t.symbols) {
      const value = Object.hasOwn(bindings, s) ? bindings[s] : undefined;
      if (value === undefined) throw new RlxError("ERR_DIM", `extent ${d}: symbol "${s}" is not bound`);
      v *= value;
    }
    sum += v;
  }
  return sum;
}

export const evalShape = (shape: readonly Dim[], bindings: Bindings): number[] => shape.map((d) => evalDim(d, bindings));

/** Substitute bound symbols; the others stay symbolic. */
export function bindDim(d: Dim, bindings: Bindings): Dim {
  if (typeof d === "number") return d;
  return d.terms
    .map((t) =>
      t.symbols.reduce<Dim>((acc, s) => {
        const bounds = d.symbols.get(s);
        if (Object.hasOwn(bindings, s)) return mulDims(acc, bindings[s] ?? 0);
        return bounds ? mulDims(acc, dim(s, bounds)) : acc;
      }, t.coef),
    )
    .reduce<Dim>(addDims, 0);
}

/** Parse the canonical text of a dim; `symbols` gives the bounds of each name. */
export function parseDim(text: string, symbols: ReadonlyMap<string, SymbolBounds>): Dim {
  return text
    .split("+")
    .map((term) =>
      term
        .trim()
        .split("*")
        .map((factor): Dim => {
          const f = factor.trim();
          if (/^-?\d+$/.test(f)) return Number(f);
          const bounds = symbols.get(f);
          if (!bounds) throw new RlxError("ERR_DIM", `dim "${text}": unknown symbol "${f}"`);
          return dim(f, bounds);
        })
        .reduce(mulDims),
    )
    .reduce(addDims);
}
