import type { Dim } from "../dim.ts";
import type { DType } from "../dtype.ts";
import { attr, defineOp } from "../op.ts";

const typeOf = (_: unknown, { dtype, shape }: { dtype: DType; shape: readonly Dim[] }) => ({ dtype, shape });
const named = { name: attr.string.required, dtype: attr.dtype.required, shape: attr.dims.required };

export const input = defineOp({
  name: "input",
  doc: "A value given at each run.",
  inputs: [],
  attrs: named,
  traits: { leaf: "input" },
  infer: typeOf,
});

export const param = defineOp({
  name: "param",
  doc: "A weight, bound by name.",
  inputs: [],
  attrs: named,
  traits: { leaf: "param" },
  infer: typeOf,
});

export const state = defineOp({
  name: "state",
  doc: "The current version of a named mutable buffer that outlives the run; zero at first.",
  inputs: [],
  attrs: named,
  traits: { leaf: "state" },
  infer: typeOf,
});

export const constant = defineOp({
  name: "constant",
  doc: "A tensor that is part of the graph; `index` numbers the graph's constants.",
  inputs: [],
  attrs: { index: attr.int.required, dtype: attr.dtype.required, shape: attr.dims.required },
  traits: { leaf: "constant" },
  infer: typeOf,
});
