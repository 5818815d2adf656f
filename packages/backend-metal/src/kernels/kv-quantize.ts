import { type Dim, dtypeCode, type KvCodec, kvCodecNamed, kvCodecNumber } from "@rlxjs/ir";
import { dimAttr, numberAttr, type Operand, reasons, type Step } from "@rlxjs/runtime";
import { div, type Expr, max, product } from "../expr.ts";
import { constants, float, type Launch, type MetalKernel, read, slot, status, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { hadamardOrder, rotationScale } from "./hadamard.ts";
import {
  type Cache,
  cacheArguments,
  firstOverlap,
  groupsOf,
  type KvNames,
  kvRefusal,
  placeBuffers,
  placeConstants,
  placesOf,
  planArguments,
  sourceOf,
} from "./kv-plan.ts";

/** Simdgroups of a threadgroup; each takes one vector. */
const VECTORS = 4;

/** A codec by name, which the graph has checked. */
const codecOf = (name: unknown, headDim: number): KvCodec => kvCodecNamed("kv_quantize", "codec", String(name), headDim);
/** As shaders/kv_tables.h numbers codecs. */
const codecNumber = ({ id, bits }: KvCodec): number => kvCodecNumber(`${id}:${bits}`);

/** Extents of a quantized cache. */
function storeOf({ shape }: Operand, headMajor: boolean, codec: KvCodec): Cache {
  const [sequences = 0, a = 0, b = 0] = shape;
  const { headDim: dim, packedBytes } = codec;
  return headMajor ? { sequences, capacity: b, heads: a, dim } : { sequences, capacity: a, heads: div(b, packedBytes), dim };
}

/** One quantized cache of a write. */
interface Side extends Cache {
  readonly x: Operand;
  readonly packed: Operand;
  readonly norms: Operand;
  readonly codec: KvCodec;
  readonly vectors: Expr;
}
function sideOf({ attrs }: Step, x: Operand, packed: Operand, norms: Operand, codec: KvCodec): Side {
  const store = storeOf(packed, attrs.layout === "head", codec);
  const { rows, tokens } = sourceOf(x, attrs.xLayout === "head");
  return { x, packed, norms, codec, ...store, vectors: product([rows, tokens, store.heads]) };
}

/** A step as kv_quantize of shaders/kv_quantize.metal takes it: K, and V where there is one. */
function quantizeLaunch(step: Step, sides: readonly Side[]): Launch {
  const { attrs } = step;
  const [k, v] = sides;
  if (!k) throw new TypeError(`step ${step.op}: expected a cache`);
  const xHead = attrs.xLayout === "head";
  const places = placesOf(step, 3 * sides.length);
  const overlap = firstOverlap(
    sides.flatMap((s) => [s.packed, s.norms]),
    sides.map((s) => s.x),
  );
  const both = [k, v ?? { ...k, sequences: 0, capacity: 0, heads: 0, vectors: 0 }];
  const row = Math.max(...both.map(({ codec }) => codec.headDim));
  return {
    shader: { file: "kv_quantize" },
    function: "kv_quantize",
    constants: constants(
      ...placeConstants(places, attrs),
      attrs.layout === "head",
      xHead,
      v !== undefined,
      ...both.flatMap(({ x, codec }) => [dtypeCode(x.dtype), codecNumber(codec), codec.headDim]),
    ),
    args: [
      slot,
      ...planArguments(sourceOf(k.x, xHead), places, overlap),
      ...both.flatMap(cacheArguments),
      ...both.map((s) => uint(s.vectors)),
      uint(row),
      ...both.map(({ codec }) => float(rotationScale(codec.headDim))),
    ],
    buffers: [
      ...[write(k.packed), write(k.norms), write(v?.packed), write(v?.norms)],
      ...[read(k.x), read(v?.x), ...placeBuffers(places), status("readWrite")],
    ],
    threadgroupBytes: [4 * VECTORS * row],
    grid: { threadgroups: [groupsOf(max(k.vectors, v?.vectors ?? 0), VECTORS), 1, sides.length] },
    threadsPerThreadgroup: [32 * VECTORS, 1, 1],
  };
}

function dequantizeLaunch(step: Step): Launch {
  const { attrs } = step;
  const [packed, norms, pos, out] = [input(step, 0), input(step, 1), input(step, 2), output(step)];
  const codec = codecOf(attrs.codec, numberAttr(attrs, "headDim"));
  const headMajor = attrs.layout === "head";
  const store = storeOf(packed, headMajor, codec);
  const tokens: Dim = dimAttr(attrs, "tokens");
  const vectors = product([store.sequences, tokens, store.heads]);
  const plain = attrs.domain === "plain";
  const row = plain && hadamardOrder(codec.headDim) > 1 ? codec.headDim : 0;
  const places = { pos };
  return {
    shader: { file: "kv_quantize" },
    function: "kv_dequantize",
    constants: [
      ...constants(...placeConstants(places, { ring: attrs.ring === true, trim: false }), headMajor),
      { index: 13, type: "uint", value: codecNumber(codec) },
      { index: 14, type: "uint", value: codec.headDim },
      { index: 18, type: "bool", value: Number(plain) },
    ],
    args: [
      slot,
      ...planArguments({ rows: store.sequences, tokens }, places, 0),
      ...cacheArguments(store),
      uint(vectors),
      uint(row),
      float(rotationScale(codec.headDim)),
    ],
    buffers: [read(packed), read(norms), write(out), read(pos), status("readWrite")],
    threadgroupBytes: [Math.max(16, 4 * VECTORS * row)],
    grid: { threadgroups: [groupsOf(vectors, VECTORS), 1, 1] },
    threadsPerThreadgroup: [32 * VECTORS, 1, 1],
  };
}

const single: KvNames = { caches: ["packed"], written: ["packed", "norms"], sources: ["x"] };
const pair: KvNames = { caches: ["kPacked", "vPacked"], written: ["kPacked", "kNorms", "vPacked", "vNorms"], sources: ["k", "v"] };

export const kvQuantizeKernels: readonly MetalKernel[] = [
  kernel("kv_quantize", {
    accepts: ({ inputs }) => reasons(hasF64(inputs[2])),
    launches: (step) => {
      const codec = codecOf(step.attrs.codec, numberAttr(step.attrs, "headDim"));
      return [quantizeLaunch(step, [sideOf(step, input(step, 2), output(step), output(step, 1), codec)])];
    },
    refusal: (step, refusal) => kvRefusal(step, refusal, single),
  }),
  kernel("kv_quantize_pair", {
    accepts: ({ inputs }) => reasons(hasF64(inputs[4], inputs[5])),
    launches: (step) => {
      const { kCodec, vCodec, headDim, valueDim = headDim } = step.attrs;
      const [k, v] = [codecOf(kCodec, Number(headDim)), codecOf(vCodec, Number(valueDim))];
      return [
        quantizeLaunch(step, [
          sideOf(step, input(step, 4), output(step), output(step, 1), k),
          sideOf(step, input(step, 5), output(step, 2), output(step, 3), v),
        ]),
      ];
    },
    refusal: (step, refusal) => kvRefusal(step, refusal, pair),
  }),
  kernel("kv_dequantize", {
    launches: (step) => [dequantizeLaunch(step)],
    refusal: (step, refusal) => kvRefusal(step, refusal, single),
  }),
];
