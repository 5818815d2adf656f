import type { Builder, Value } from "../builder.ts";
import { mulDims } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import { showType } from "../shape.ts";
import { checkNames, graphValue, placeOf } from "../named-args.ts";
import { operandsOf, ringOf } from "./eager.ts";
import { type KvCopySpec, type KvForm, kvForms } from "./table.ts";

// Named copies in graphs: one kv_write or kv_write_pair on states, with the extents of the values.

/** Add a named copy to a graph; the caches' next versions. */
export function copyValues(g: Builder, op: string, spec: KvCopySpec, given: unknown): Value[] {
  const form: KvForm = kvForms[spec.form];
  const operands = operandsOf(spec);
  const flags = [...(typeof form.ring === "string" ? [form.ring] : []), ...(form.tokens ? ["trim"] : [])];
  const named = [form.pos, form.slots, form.tokens, form.offset].filter((n) => n !== undefined);
  const args = checkNames(op, [...operands.flatMap(({ x, cache }) => [x, cache]), ...named, ...flags], given);
  const place = (name: string | undefined): Value | undefined => (name === undefined ? undefined : placeOf(g, op, args, name));
  const pos = place(form.pos);
  if (!pos) throw new AttrError(op, `${form.pos}: expected a value or a number, got nothing`);
  const places = { slots: place(form.slots), tokens: place(form.tokens), srcTokOffset: place(form.offset) };
  const attrs = { layout: form.layout, xLayout: form.xLayout, ...ringOf(op, form, args) };
  const pairs = operands.map(({ x, cache }) => {
    const [source, target] = [graphValue(op, args, x), graphValue(op, args, cache)];
    const dtype = spec.cache === "same" ? source.dtype : spec.cache;
    if (!spec.source.some((d) => d === source.dtype))
      throw new ShapeError(op, `${x}: expected dtype ${spec.source.join(" or ")}, got ${showType(source.type)}`);
    if (target.dtype !== dtype) throw new ShapeError(op, `${cache}: expected dtype ${dtype}, got ${showType(target.type)}`);
    return { source: asTokens(g, op, x, source, form), target };
  });
  const [k, v] = pairs;
  if (!k) return [];
  if (!v) return [g.kvWrite(k.target, k.source, pos, { ...places, ...attrs })];
  const next = g.kvWritePair(k.target, v.target, k.source, v.source, pos, { ...places, ...attrs });
  return [next.k, next.v];
}

/** A source in the reference's shape as one that kv_write takes. */
function asTokens(g: Builder, op: string, name: string, source: Value, { source: axes, xLayout, slots }: KvForm): Value {
  const { shape } = source;
  if (shape.length !== axes.length) throw new ShapeError(op, `${name}: expected [${axes.join(", ")}], got ${showType(source.type)}`);
  const [a = 1, b = 1, c = 1] = shape;
  if (xLayout === "head") return g.reshape(source, { shape: [1, a, b, c] });
  if (slots !== undefined) return g.reshape(source, { shape: [a, 1, b] });
  const rows = axes[0] === "nHeads" ? [1, 1, mulDims(a, b)] : [1, a, mulDims(b, c)];
  return g.reshape(source, { shape: rows });
}

/** kvCacheLinearizeRing in a graph; the next version of dst. */
export function linearizeValues(g: Builder, op: string, given: unknown): Value {
  const args = checkNames(op, ["src", "dst", "historyLen", "logicalEnd"], given);
  const [length, end] = ["historyLen", "logicalEnd"].map((name) => placeOf(g, op, args, name));
  if (!length || !end) throw new AttrError(op, `${length ? "logicalEnd" : "historyLen"}: expected a value or a number, got nothing`);
  return g.kvLinearizeRing(graphValue(op, args, "dst"), graphValue(op, args, "src"), end, length);
}
