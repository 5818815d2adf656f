import type { AttrRecord, Dim, DType, Graph, SymbolBounds, Tensor } from "@rlxjs/ir";

/** Where a weight buffer's bytes come from: a param, or an expression of params that is evaluated once and kept in the WeightStore. */
export type WeightSource =
  | { readonly kind: "param"; readonly name: string }
  | { readonly kind: "expression"; readonly graph: Graph; readonly key: string };

interface BufferBase {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  /** Bytes at the upper bound of every extent. */
  readonly bytes: number;
}
export type ProgramBuffer = BufferBase &
  (
    | { readonly kind: "input" | "output" | "state"; readonly name: string }
    | { readonly kind: "constant"; readonly value: Tensor; readonly layout?: string }
    /** `layout`: the packed form that the kernel wants; absent: the rows as they are stored. */
    | { readonly kind: "weight"; readonly source: WeightSource; readonly layout?: string }
    | { readonly kind: "arena"; readonly offset: number }
  );

/** A dense tensor inside a buffer; `offset` in bytes. Views are operands with another offset or shape. */
export interface Operand {
  readonly buffer: number;
  readonly offset: Dim;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** One kernel call. */
export interface Step {
  /** Name of a native kernel, or `reference`: the op's TypeScript reference, run on the host. */
  readonly kernel: string;
  readonly op: string;
  readonly attrs: AttrRecord;
  readonly inputs: readonly (Operand | undefined)[];
  readonly outputs: readonly Operand[];
  /** Scalars that the kernel takes; extents are evaluated at each run. */
  readonly params: readonly Dim[];
  /** Bytecode of a generated kernel or of an epilogue. */
  readonly blob?: Uint8Array<ArrayBuffer>;
  /** Temporary bytes that the step needs while it runs, within the arena. */
  readonly scratch?: { readonly offset: number; readonly bytes: number };
  readonly label?: string;
  readonly origin?: string;
}

/** A flat, immutable description of what to execute: made once in TypeScript, owned and replayed by a backend. */
export interface Program {
  readonly name: string;
  readonly symbols: readonly (SymbolBounds & { readonly name: string })[];
  readonly buffers: readonly ProgramBuffer[];
  readonly steps: readonly Step[];
  readonly arenaBytes: number;
}
