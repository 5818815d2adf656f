import type { Builder, Value } from "../builder.ts";
import { mulDims } from "../dim.ts";
import { AttrError, ShapeError } from "../errors.ts";
import type { KvBits } from "../kv-codec/codec.ts";
import type { FwhtSigns } from "../ops/fwht.ts";
import { expectRank } from "../ops/rules.ts";
import { showType } from "../shape.ts";
import { checkNames, flag, graphValue, natural, placeOf } from "../named-args.ts";
import { codecName, codecNames, codecOf, storesOf } from "./quantize-eager.ts";
import type { KvQuantizeSpec } from "./quantize-table.ts";

// Named quantizers, decoders and rotations in graphs: one node, with the extents of the values.

/** Add a named quantizer to a graph; the next versions of codes and norms, of K before those of V. */
export function quantizeValues(g: Builder, op: string, { range, bits, dual }: KvQuantizeSpec, given: unknown): Value[] {
  const stores = storesOf(dual);
  const posName = range ? "writePosStart" : "writePos";
  const places = range ? [posName, "nTokens", "srcTokOffset", "trim"] : [posName];
  const args = checkNames(op, [...stores.flatMap((s) => Object.values(s)), ...places, "isSliding", ...codecNames(bits)], given);
  const pos = placeOf(g, op, args, posName);
  if (!pos) throw new AttrError(op, `${posName}: expected a value or a number, got nothing`);
  const operands = stores.map((names) => {
    const x = graphValue(op, args, names.x);
    const rank = range ? 3 : 2;
    expectRank(op, names.x, x.type, rank);
    const [tokens = 1, heads = 1, dim] = range ? x.shape : [1, ...x.shape];
    if (typeof dim !== "number") throw new ShapeError(op, `${names.x}: expected a head dim that is a number, got ${showType(x.type)}`);
    const [packed, norms] = [graphValue(op, args, names.packed), graphValue(op, args, names.norms)];
    return {
      packed,
      norms,
      dim,
      x: g.reshape(x, { shape: [1, tokens, mulDims(heads, dim)] }),
      codec: codecName(codecOf(op, bits, args, dim)),
    };
  });
  const attrs = {
    tokens: placeOf(g, op, args, "nTokens"),
    srcTokOffset: placeOf(g, op, args, "srcTokOffset"),
    layout: "head" as const,
    ring: flag(op, args, "isSliding"),
    trim: flag(op, args, "trim"),
  };
  const [k, v] = operands;
  if (!k) return [];
  if (!v) {
    const next = g.kvQuantize(k.packed, k.norms, k.x, pos, { codec: k.codec, headDim: k.dim, ...attrs });
    return [next.packed, next.norms];
  }
  const codecs = { kCodec: k.codec, vCodec: v.codec, headDim: k.dim, valueDim: v.dim };
  const next = g.kvQuantizePair(k.packed, k.norms, v.packed, v.norms, k.x, v.x, pos, { ...codecs, ...attrs });
  return [next.kPacked, next.kNorms, next.vPacked, next.vNorms];
}

/** Add a named decoder to a graph: [nTokens, numKvHeads, headDim] in the rotated domain. */
export function dequantizeValues(g: Builder, op: string, bits: readonly KvBits[], given: unknown): Value {
  const args = checkNames(op, ["packed", "norms", "headDim", "readPos", "nTokens", "isSliding", ...codecNames(bits)], given);
  const [packed, norms, pos] = [graphValue(op, args, "packed"), graphValue(op, args, "norms"), placeOf(g, op, args, "readPos")];
  if (!pos) throw new AttrError(op, "readPos: expected a value or a number, got nothing");
  expectRank(op, "packed", packed.type, 4);
  const [, heads = 1] = packed.shape;
  const [headDim, tokens] = [natural(op, args, "headDim"), natural(op, args, "nTokens", 1)];
  const codec = codecName(codecOf(op, bits, args, headDim));
  const rows = g.kvDequantize(packed, norms, pos, { codec, headDim, tokens, layout: "head", ring: flag(op, args, "isSliding") });
  return g.reshape(rows, { shape: [tokens, heads, headDim] });
}

/** Add a named rotation of data [..., headDim] to a graph. */
export function rotateValues(g: Builder, op: string, signs: FwhtSigns, given: unknown): Value {
  return g.fwht(graphValue(op, checkNames(op, ["data"], given), "data"), { signs });
}
