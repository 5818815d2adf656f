import { type Dim, productOf } from "@rlxjs/ir";

/** A shape cut at an axis: element j of lane (o, i) lies at (o * length + j) * inner + i. */
export const lanesOf = ({ shape }: { readonly shape: readonly Dim[] }, axis: number): { outer: Dim; length: Dim; inner: Dim } => ({
  outer: productOf(shape.slice(0, axis)),
  length: shape[axis] ?? 1,
  inner: productOf(shape.slice(axis + 1)),
});
