import { addDims, type Dim, dimEquals, type DType, dtypes, isFloat, isInt, resolveAxis, shapeEquals, type Value } from "@rlxjs/ir";
import { any, as, constant, op } from "./pattern.ts";
import { rule } from "./rules.ts";

// One form for the same thing, so that later rules and CSE see it. All of these are exact.

const x = any("x");
const dims = (v: unknown): readonly Dim[] => v as readonly Dim[];
const ints = (v: unknown): readonly number[] => v as readonly number[];
/** The value itself when the node around it changes neither dtype nor shape. */
const unlessShaped = (v: Value, shape: readonly Dim[]): Value | undefined => (shapeEquals(v.shape, shape) ? v : undefined);

/** Whether every value of `narrow` is a value of `wide`, so that a cast there and back changes nothing. */
function holds(wide: DType, narrow: DType): boolean {
  if (wide === narrow || wide === "f64") return isFloat(narrow) || narrow === wide || (isInt(narrow) && narrow !== "i64");
  if (wide === "f32") return narrow === "f16" || narrow === "bf16" || (isInt(narrow) && dtypes[narrow].blockBytes < 4);
  if (!isInt(wide) || !isInt(narrow)) return false;
  const unsigned = (d: DType): boolean => d.startsWith("u");
  const [w, n] = [dtypes[wide].blockBytes, dtypes[narrow].blockBytes];
  return n < w && (!unsigned(wide) || unsigned(narrow));
}

export const canonicalRules = [
  rule(
    "constants to the right", // c + x = x + c
    op((def) => def.traits.commutative === true, constant("c"), x),
    (v, { g, view }, { root }) => {
      const [first = -1, second = -1] = root.inputs;
      return view.constant(first) && !view.constant(second) ? g.emit(view.def(root), [v.x, v.c], root.attrs, root.label)[0] : undefined;
    },
  ),
  rule("reshape to the same shape", op("reshape", x), (v, _, { root }) => unlessShaped(v.x, dims(root.attrs.shape))), // reshape(x, shape of x) = x
  rule("reshape of reshape", op("reshape", op("reshape", x)), (v, { g }, { root }) => g.reshape(v.x, { shape: dims(root.attrs.shape) })), // only the last shape counts
  rule("expand to the same shape", op("expand", x), (v, _, { root }) => unlessShaped(v.x, dims(root.attrs.shape))), // expand(x, shape of x) = x
  rule("expand of expand", op("expand", op("expand", x)), (v, { g }, { root }) => g.expand(v.x, { shape: dims(root.attrs.shape) })), // broadcasting composes
  rule(
    "transpose by identity", // perm = 0, 1, 2...
    op("transpose", x),
    (v, _, { root }) => (ints(root.attrs.perm).every((p, i) => p === i) ? v.x : undefined),
  ),
  rule(
    "transpose of transpose", // x[p][q] = x[p of q]
    op("transpose", as("inner", op("transpose", x))),
    (v, { g }, { root, node }) => {
      const inner = ints(node("inner").attrs.perm);
      return g.transpose(v.x, { perm: ints(root.attrs.perm).map((p) => inner[p] ?? p) });
    },
  ),
  rule("slice of everything", op("slice", x), (v, _, { root }) => (dimEquals(root.attrs.start as Dim, 0) ? v.x : undefined)), // the driver compares the shapes
  rule(
    "slice of slice", // along one axis the starts add up
    op("slice", as("inner", op("slice", x))),
    (v, { g }, { root, node }) => {
      const inner = node("inner").attrs;
      const axis = resolveAxis("slice", Number(root.attrs.axis), v.x.shape.length);
      if (resolveAxis("slice", Number(inner.axis), v.x.shape.length) !== axis) return undefined;
      return g.slice(v.x, { axis, start: addDims(inner.start as Dim, root.attrs.start as Dim), size: root.attrs.size as Dim });
    },
  ),
  rule("concat of one", op("concat", x), (v, _, { root }) => (root.inputs.length === 1 ? v.x : undefined)), // concat([x]) = x
  rule("cast to the same dtype", op("cast", x), (v, _, { root }) => (root.attrs.dtype === v.x.dtype ? v.x : undefined)), // cast(x, dtype of x) = x
  rule(
    "cast through a wider dtype", // the first cast is exact, so only the second one rounds
    op("cast", as("inner", op("cast", x))),
    (v, { g }, { root }) => (holds(v.inner.dtype, v.x.dtype) ? g.cast(v.x, { dtype: root.attrs.dtype as DType }) : undefined),
  ),
];
