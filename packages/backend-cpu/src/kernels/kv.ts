import { type AttrRecord, type Dim, kvCodecNumber } from "@rlxjs/ir";
import { flagAttr, type Kernel, numberAttr, reasons } from "@rlxjs/runtime";
import { kernel } from "./checks.ts";

const places = (attrs: AttrRecord): number[] => [
  attrs.layout === "head" ? 1 : 0,
  attrs.xLayout === "head" ? 1 : 0,
  flagAttr(attrs, "ring"),
  flagAttr(attrs, "trim"),
];
const codec = (attrs: AttrRecord, name: string): number => kvCodecNumber(String(attrs[name]));
/** kMostHadamard of native/cpu/hadamard.h. */
const mostHadamard = 8192;

/** 0: not given. */
const size = (value: unknown): Dim => (typeof value === "number" ? value : 0);

/** native/cpu/kv.cpp: every dtype of caches and sources; kv_quantize.cpp: every codec. */
export const kvKernels: readonly Kernel[] = [
  kernel("kv_write", { params: ({ attrs }) => [...places(attrs), size(attrs.headDim)] }),
  kernel("kv_write_pair", { params: ({ attrs }) => [...places(attrs), size(attrs.headDim), size(attrs.valueDim ?? attrs.headDim)] }),
  kernel("kv_linearize_ring"),
  kernel("kv_quantize", { params: ({ attrs }) => [...places(attrs), codec(attrs, "codec"), numberAttr(attrs, "headDim")] }),
  kernel("kv_quantize_pair", {
    params: ({ attrs }) => [
      ...places(attrs),
      ...[codec(attrs, "kCodec"), numberAttr(attrs, "headDim")],
      ...[codec(attrs, "vCodec"), size(attrs.valueDim ?? attrs.headDim)],
    ],
  }),
  kernel("kv_dequantize", {
    params: ({ attrs }) => [
      attrs.layout === "head" ? 1 : 0,
      flagAttr(attrs, "ring"),
      codec(attrs, "codec"),
      numberAttr(attrs, "headDim"),
      attrs.domain === "plain" ? 1 : 0,
    ],
  }),
  kernel("fwht", {
    accepts: ({ inputs }) => {
      const dim = Number(inputs[0]?.shape.at(-1));
      return reasons(dim > mostHadamard && `rows of ${dim} values, at most ${mostHadamard} are supported`);
    },
    params: ({ attrs }) => [["none", "before", "after"].indexOf(String(attrs.signs))],
  }),
];
