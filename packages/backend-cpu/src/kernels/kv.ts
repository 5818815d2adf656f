import type { AttrRecord, Dim } from "@rlxjs/ir";
import type { Kernel } from "@rlxjs/runtime";
import { flagAttr, kernel } from "./checks.ts";

const places = (attrs: AttrRecord): number[] => [
  attrs.layout === "head" ? 1 : 0,
  attrs.xLayout === "head" ? 1 : 0,
  flagAttr(attrs, "ring"),
  flagAttr(attrs, "trim"),
];
/** 0: not given. */
const size = (value: unknown): Dim => (typeof value === "number" ? value : 0);

/** native/cpu/kv.cpp: every dtype of caches and sources. */
export const kvKernels: readonly Kernel[] = [
  kernel("kv_write", { params: ({ attrs }) => [...places(attrs), size(attrs.headDim)] }),
  kernel("kv_write_pair", { params: ({ attrs }) => [...places(attrs), size(attrs.headDim), size(attrs.valueDim ?? attrs.headDim)] }),
  kernel("kv_linearize_ring"),
];
