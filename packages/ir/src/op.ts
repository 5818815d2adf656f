import type { Dim } from "./dim.ts";
import type { DType } from "./dtype.ts";
import type { AttrRecord } from "./graph.ts";
import type { Rng } from "./rng.ts";
import type { ScalarBody } from "./scalar.ts";
import type { Tensor } from "./tensor.ts";

/** Dtype and symbolic shape of a value. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** What an input slot accepts. `weight`: a float or block format. */
export type InputKind = "float" | "int" | "bool" | "numeric" | "weight" | "any";
export interface InputSpec {
  readonly name: string;
  readonly kind: InputKind;
  readonly mode: "required" | "optional" | "variadic";
}

export const input = <const N extends string>(name: N, kind: InputKind) => ({ name, kind, mode: "required" }) as const;
/** Optional inputs are given by name, beside the attributes. */
export const optional = <const N extends string>(name: N, kind: InputKind) => ({ name, kind, mode: "optional" }) as const;
/** Any number of values; must be the last input. */
export const variadic = <const N extends string>(name: N, kind: InputKind) => ({ name, kind, mode: "variadic" }) as const;

/** Attribute types: all are JSON (dims as canonical text), so that a node prints, hashes and serialises by itself. */
export interface AttrTypes {
  number: number;
  int: number;
  bool: boolean;
  string: string;
  ints: readonly number[];
  dim: Dim;
  dims: readonly Dim[];
  dtype: DType;
  dtypes: readonly DType[];
  body: ScalarBody;
  /** Attributes of a node inside this one (see with_epilogue). */
  record: AttrRecord;
}
export interface AttrSpec<K extends keyof AttrTypes = keyof AttrTypes, T = AttrTypes[K]> {
  readonly kind: K;
  readonly required: boolean;
  readonly default?: T;
  readonly oneOf?: readonly string[];
}
export interface RequiredAttr<K extends keyof AttrTypes, T> extends AttrSpec<K, T> {
  readonly required: true;
}
export interface OptionalAttr<K extends keyof AttrTypes, T> extends AttrSpec<K, T> {
  readonly required: false;
}
export interface DefaultedAttr<K extends keyof AttrTypes, T> extends OptionalAttr<K, T> {
  readonly default: T;
}
const spec = <K extends keyof AttrTypes>(kind: K) => ({
  required: { kind, required: true } as RequiredAttr<K, AttrTypes[K]>,
  optional: { kind, required: false } as OptionalAttr<K, AttrTypes[K]>,
  default: (value: AttrTypes[K]) => ({ kind, required: false, default: value }) as DefaultedAttr<K, AttrTypes[K]>,
});

/** `attr.int.required`, `attr.number.default(1e-5)`, `attr.dtype.optional`, `attr.oneOf("token", "head")` (the first is the default). */
export const attr = {
  number: spec("number"),
  int: spec("int"),
  bool: spec("bool"),
  string: spec("string"),
  ints: spec("ints"),
  dim: spec("dim"),
  dims: spec("dims"),
  dtype: spec("dtype"),
  dtypes: spec("dtypes"),
  body: spec("body"),
  record: spec("record"),
  oneOf: <const T extends readonly [string, ...string[]]>(...values: T) =>
    ({ kind: "string", required: false, default: values[0], oneOf: values }) as DefaultedAttr<"string", T[number]>,
};

export type Inputs = readonly InputSpec[];
export type Attrs = Readonly<Record<string, AttrSpec>>;
export type Outputs = readonly string[];

type NameOf<I extends Inputs, M extends InputSpec["mode"]> = Extract<I[number], { mode: M }>["name"];
/** `{ x: V, weight?: V, xs: V[] }` for the inputs of an op. */
export type Named<I extends Inputs, V> = { readonly [K in NameOf<I, "required">]: V } & {
  readonly [K in NameOf<I, "optional">]?: V | undefined;
} & { readonly [K in NameOf<I, "variadic">]: readonly V[] };

type ValueOf<S> = S extends AttrSpec<keyof AttrTypes, infer T> ? T : never;
/** Attributes after defaults are filled in: optional ones without a default may be undefined. */
export type AttrValues<A extends Attrs> = {
  readonly [K in keyof A]: A[K] extends { required: true } | { default: unknown } ? ValueOf<A[K]> : ValueOf<A[K]> | undefined;
};
/** Attributes as a caller gives them. */
export type AttrArgs<A extends Attrs> = {
  readonly [K in keyof A as A[K] extends { required: true } ? K : never]: ValueOf<A[K]>;
} & { readonly [K in keyof A as A[K] extends { required: true } ? never : K]?: ValueOf<A[K]> | undefined };

/** One value, or `{ values, indices }` for an op with several outputs. */
export type PerOutput<O extends Outputs, V> = O extends readonly [string] ? V : { readonly [K in O[number]]: V };

/** What the error bound of the conformance suite is derived from (see bound.ts). */
export interface Accumulate<I extends Inputs, A extends Attrs> {
  /** The dtype that partial results are kept in (f64 operands: f64). */
  readonly dtype: DType;
  /** How many terms one output element sums. */
  readonly length: (types: readonly (TensorType | undefined)[], attrs: AttrValues<A>) => Dim;
  /**
   * What one rounding error is relative to. `absolute`: the op on the absolute values of its operands (a sum of products);
   * `relative`: the result itself; else a function of operands and attributes that gives it for a result `y`.
   */
  readonly magnitude: "absolute" | "relative" | ((inputs: Named<I, Tensor>, attrs: AttrValues<A>) => (y: number) => number);
  /** The operand that kernels may round to int8 per block of 32 when the weight is in a block format. */
  readonly activations?: I[number]["name"];
}

/** What passes and backends may know of an op. A pass queries these; it never asks for an op by name. */
export interface OpTraits<I extends Inputs = Inputs, A extends Attrs = Attrs> {
  /** A leaf: its value comes from outside the graph's computation. */
  readonly leaf?: "input" | "param" | "constant" | "state";
  /** A generated kernel: each output element is this expression of the operands' elements, operands broadcast right-aligned. */
  readonly elementwise?: (types: readonly TensorType[], attrs: AttrValues<A>) => ScalarBody;
  /** Outputs may be exchanged for permuted inputs 0 and 1. */
  readonly commutative?: boolean;
  /** The first output has the bytes of the first input under another shape: no kernel is needed. */
  readonly view?: boolean;
  /** The first output is a contiguous part of the first input when all axes before `axis` have extent 1 (see `slice`). */
  readonly subview?: (attrs: AttrValues<A>) => { readonly axis: number; readonly start: Dim };
  /** The op writes these inputs (state values, all different) in place: output i is the next version of `writes[i]`. */
  readonly writes?: readonly [I[number]["name"], ...I[number]["name"][]];
  /** Output i may reuse the buffer of this input when it dies here and the byte sizes agree. */
  readonly inPlace?: readonly I[number]["name"][];
  /** A routine whose single output may be finished by a fused elementwise body (inputs: the result, then extra operands). */
  readonly epilogue?: boolean;
  /** y = f(x, w) with the rows of w independent along output axis -1: several with one x merge by concatenating `weight` on `axis`. */
  readonly mergeable?: { readonly shared: I[number]["name"]; readonly weight: I[number]["name"]; readonly axis: number };
  /** How float results are rounded on the way; absent (and not elementwise): the op only moves or compares, its results are exact. */
  readonly accumulate?: Accumulate<I, A>;
  /** Result depends on more than the operands (random numbers): never folded, merged or dropped. */
  readonly impure?: boolean;
}

/** One set of operands for the conformance suite. Inputs of kind `weight` become params, the others graph inputs. */
export interface Sample<I extends Inputs = Inputs, A extends Attrs = Attrs> {
  readonly name?: string;
  readonly inputs: Named<I, Tensor>;
  readonly attrs?: AttrArgs<A>;
}

/** Builds nodes while an op is decomposed; `Value` is opaque here (see builder.ts). */
export type DecomposeBuilder = import("./builder.ts").Builder;
type Value = import("./builder.ts").Value;

/** One op is one record. */
export interface OpDef<I extends Inputs = Inputs, A extends Attrs = Attrs, O extends Outputs = readonly ["out"]> {
  readonly name: string;
  readonly doc: string;
  readonly inputs: I;
  readonly attrs: A;
  readonly outputs: O;
  readonly traits: OpTraits<I, A>;
  /** Shape and dtype rule over symbolic dims; throws ShapeError or AttrError. */
  infer(inputs: Named<I, TensorType>, attrs: AttrValues<A>): PerOutput<O, TensorType>;
  /** Slow and obvious, f64 accumulation, rounded once to the output dtype: this is the specification. Absent for leaves. */
  reference?(inputs: Named<I, Tensor>, attrs: AttrValues<A>, out: PerOutput<O, Tensor>): void;
  /**
   * The same op from primitives; `undefined` for operands that it cannot be done for. Annotate its parameters and result: the builder's type
   * is derived from this very record.
   */
  decompose?(b: DecomposeBuilder, inputs: Named<I, Value>, attrs: AttrValues<A>): PerOutput<O, Value> | undefined;
  /** Operands for the conformance suite: sizes 0, 1, odd, broadcast, every dtype that the op takes. */
  samples?(rng: Rng): readonly Sample<I, A>[];
}

type DefineArgs<I extends Inputs, A extends Attrs, O extends Outputs> = Omit<OpDef<I, A, O>, "attrs" | "outputs" | "traits"> & {
  readonly attrs?: A;
  readonly outputs?: O;
  readonly traits?: OpTraits<I, A>;
};

/** Define an op. Without `outputs` it has one; `attrs` and `traits` default to none. */
export function defineOp<const I extends Inputs, const A extends Attrs = Record<never, never>, const O extends Outputs = readonly ["out"]>(
  def: DefineArgs<I, A, O>,
): OpDef<I, A, O> {
  return { attrs: {} as A, outputs: ["out"] as unknown as O, traits: {}, ...def };
}

/** Slots of the state operands that an op writes; output i is the next version of the i-th. */
export function writtenSlots(def: AnyOpDef): readonly number[] {
  const names: readonly string[] = def.traits.writes ?? [];
  return names.map((name) => (def.inputs as readonly InputSpec[]).findIndex((s) => s.name === name));
}

/** Any op record, for code that works on all of them. */
// biome-ignore lint/suspicious/noExplicitAny: the table is heterogeneous; every use goes through the record's own checks
export type AnyOpDef = OpDef<any, any, any>;
