import type { Builder, Value } from "../builder.ts";
import { divDims } from "../dim.ts";
import { castTo } from "./widen.ts";

/** rope by slices: the two halves of every pair, rotated, put back together. */
export function decomposeRope(
  b: Builder,
  { x, cos, sin }: { x: Value; cos: Value; sin: Value },
  { headDim, interleaved }: { headDim: number; interleaved: boolean },
): Value {
  const [batch = 1, s = 1, width = 1] = x.shape;
  const heads = divDims(width, headDim) ?? 1;
  const half = Number(cos.shape.at(-1));
  const wide = x.dtype === "f64" || cos.dtype === "f64" ? "f64" : "f32";
  const v = b.reshape(castTo(b, x, wide), { shape: [batch, s, heads, headDim] });
  const perHead = (t: Value): Value => b.reshape(castTo(b, t, wide), { shape: [...t.shape.slice(0, -1), 1, half] });
  const part = (t: Value, start: number, size: number): Value => b.slice(t, { axis: -1, start, size });
  const pairs = interleaved ? b.reshape(part(v, 0, 2 * half), { shape: [batch, s, heads, half, 2] }) : v;
  const flat = (t: Value): Value => b.reshape(t, { shape: [batch, s, heads, half] });
  const [first, second] = interleaved ? [flat(part(pairs, 0, 1)), flat(part(pairs, 1, 1))] : [part(v, 0, half), part(v, half, half)];
  const [c, sn] = [perHead(cos), perHead(sin)];
  const turned = [b.sub(b.mul(first, c), b.mul(second, sn)), b.add(b.mul(second, c), b.mul(first, sn))];
  const column = (t: Value): Value => b.reshape(t, { shape: [batch, s, heads, half, 1] });
  const rotated = interleaved
    ? b.reshape(b.concat(turned.map(column), { axis: -1 }), { shape: [batch, s, heads, 2 * half] })
    : b.concat(turned, { axis: -1 });
  const all = b.concat([rotated, part(v, 2 * half, headDim - 2 * half)], { axis: -1 });
  return castTo(b, b.reshape(all, { shape: x.shape }), x.dtype);
}
