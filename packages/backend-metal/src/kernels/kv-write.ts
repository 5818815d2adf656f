import { type Dim, dimEquals, dtypeCode, dtypes, isMultiple, mulDims, productOf } from "@rlxjs/ir";
import { type NodeView, type Operand, reasons, type Step } from "@rlxjs/runtime";
import { ceilDiv, div, type Expr, max, min, mul, product } from "../expr.ts";
import { constants, type Launch, type MetalKernel, type Refusal, read, slot, status, uint, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
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
  stride,
} from "./kv-plan.ts";
import { ropeArguments } from "./rope.ts";

const THREADS = 256;

/** Bytes that a thread moves: what all of these are multiples of. */
const moveUnit = (...bytes: readonly Dim[]): number => [16, 8, 4, 2].find((unit) => bytes.every((b) => isMultiple(b, unit))) ?? 1;

/** One cache of a write: its vectors, and how threads share one. */
interface Side extends Cache {
  readonly x: Operand;
  readonly out: Operand;
  /** Bytes or values that a thread moves, and threads that a vector takes. */
  readonly unit: number;
  readonly perHead: Expr;
  readonly items: Expr;
}

/** Tables by which keys turn on their way. */
interface Rope {
  readonly cos: Operand;
  readonly sin: Operand;
}

function sideOf(step: Step, x: Operand, out: Operand, headDim: unknown, rope?: Rope): Side {
  const head = step.attrs.layout === "head";
  const xHead = step.attrs.xLayout === "head";
  const q8 = out.dtype === "q8_0";
  const { rows, tokens, width } = sourceOf(x, xHead);
  const given = typeof headDim === "number" ? headDim : undefined;
  const [sequences = 0, a = 0, b = 0, c = 0] = out.shape;
  // A token is one vector where heads lie side by side in the source and in the cache.
  const whole = !head && !xHead && !q8 && !rope;
  const dim = whole ? width : (given ?? (xHead ? x.shape[3] : head ? c : undefined) ?? width);
  const heads = whole || dimEquals(dim, width) ? 1 : div(width, max(1, dim));
  const how = sharing(x, out, dim, rope !== undefined);
  return { x, out, sequences, capacity: head ? b : a, heads, dim, ...how, items: product([rows, tokens, heads, how.perHead]) };
}

function sharing(x: Operand, out: Operand, dim: Dim, turns: boolean): { unit: number; perHead: Expr } {
  if (out.dtype === "q8_0") return { unit: 1, perHead: mul(32, ceilDiv(dim, 32)) };
  const [from, to] = [dtypes[x.dtype].blockBytes, dtypes[out.dtype].blockBytes];
  if (x.dtype === out.dtype && !turns) {
    const bytes = mulDims(dim, from);
    const unit = moveUnit(bytes, x.offset, out.offset);
    return { unit, perHead: div(bytes, unit) };
  }
  const unit = isMultiple(dim, 4) && isMultiple(x.offset, 4 * from) && isMultiple(out.offset, 4 * to) ? 4 : 1;
  return { unit, perHead: div(dim, unit) };
}

/** A step as shaders/kv_write.metal takes it: K, and V where there is one. */
function writeLaunch(step: Step, sides: readonly Side[], firstPlace = 2 * sides.length, rope?: Rope): Launch {
  const { attrs } = step;
  const [k, v] = sides;
  if (!k) throw new TypeError(`step ${step.op}: expected a cache`);
  const xHead = attrs.xLayout === "head";
  const places = placesOf(step, firstPlace);
  const written = sides.map((s) => s.out);
  const overlap = firstOverlap(
    written,
    sides.map((s) => s.x),
  );
  const both = [k, v ?? { sequences: 0, capacity: 0, heads: 0, dim: 0, items: 0, perHead: 0 }];
  return {
    shader: { file: "kv_write" },
    function: "kv_write",
    constants: constants(
      ...placeConstants(places, attrs),
      attrs.layout === "head",
      xHead,
      v !== undefined,
      ...[k, v ?? k].flatMap(({ x, out, unit }) => [dtypeCode(x.dtype), dtypeCode(out.dtype), unit]),
      ...[rope !== undefined, dtypeCode(rope?.cos.dtype ?? "f32"), attrs.interleaved === true],
    ),
    args: [
      slot,
      ...planArguments(sourceOf(k.x, xHead), places, overlap),
      ...both.flatMap(cacheArguments),
      ...both.map((s) => uint(s.items)),
      ...both.map((s) => uint(s.perHead)),
      ...ropeArguments(rope?.cos),
    ],
    buffers: [
      write(k.out),
      write(v?.out),
      read(k.x),
      read(v?.x),
      ...placeBuffers(places),
      status("readWrite"),
      read(rope?.cos),
      read(rope?.sin),
    ],
    grid: { threadgroups: [groupsOf(max(k.items, v?.items ?? 0), THREADS), 1, sides.length] },
    threadsPerThreadgroup: [THREADS, 1, 1],
  };
}

/** f64 is moved where source and cache have it, but neither made nor read. */
const converts = ({ inputs }: NodeView, caches: number): string | undefined => {
  const wide = inputs
    .slice(0, caches)
    .some((cache, i) => cache?.dtype !== inputs[caches + i]?.dtype && [cache, inputs[caches + i]].some(isF64));
  return wide ? "metal has no f64" : undefined;
};
const isF64 = (t: { readonly dtype: string } | undefined): boolean => t?.dtype === "f64";

const single: KvNames = { caches: ["cache"], written: ["cache"], sources: ["x"] };
const pair: KvNames = { caches: ["kCache", "vCache"], written: ["kCache", "vCache"], sources: ["k", "v"] };

/** Codes of RingFault in shaders/kv_ring.metal. */
function ringRefusal(_: Step, { code, values }: Refusal): string {
  const [entry, a, got] = values;
  if (code === 3) return "src: expected memory of its own, got memory that overlaps dst";
  if (code === 2) return `end of entry ${entry}: expected ${a} to ${Number.MAX_SAFE_INTEGER}, got ${got}`;
  const [from, to] = [a & 0xffffffffn, a >> 32n];
  const most = from < to ? from : to;
  return `length of entry ${entry}: expected 0 to ${most}, the smaller one of the capacities ${from} and ${to}, got ${got}`;
}

function ringLaunch(step: Step): Launch {
  const [src, end, length] = [input(step, 1), input(step, 2), input(step, 3)];
  const out = output(step);
  const outer = out.shape.slice(0, -2);
  const [toCapacity = 0, row = 0] = out.shape.slice(-2);
  const fromCapacity = src.shape.at(-2) ?? 0;
  const { blockBytes, blockSize } = dtypes[out.dtype];
  // Whole blocks fill a row, so only its bytes need to be whole.
  const bytes: Dim = typeof row === "number" ? (row * blockBytes) / blockSize : mulDims(row, blockBytes / blockSize);
  const unit = moveUnit(bytes, src.offset, out.offset);
  const units = div(bytes, unit);
  const entries = outer[0] ?? 1;
  const items = product([productOf(outer), min(fromCapacity, toCapacity), units]);
  return {
    shader: { file: "kv_ring" },
    function: "kv_linearize_ring",
    constants: constants(dtypeCode(end.dtype), dtypeCode(length.dtype), unit),
    args: [
      slot,
      // Nothing is asked of rows that are not there.
      uint(mul(entries, min(1, mul(productOf(outer), units)))),
      stride(end),
      stride(length),
      uint(fromCapacity),
      uint(toCapacity),
      uint(productOf(outer.slice(1))),
      uint(units),
      uint(items),
      uint(firstOverlap([out], [src])),
    ],
    buffers: [write(out), read(src), read(end), read(length), status("readWrite")],
    grid: { threadgroups: [groupsOf(items, THREADS), 1, 1] },
    threadsPerThreadgroup: [THREADS, 1, 1],
  };
}

export const kvWriteKernels: readonly MetalKernel[] = [
  kernel("kv_write", {
    accepts: (node) => reasons(converts(node, 1)),
    launches: (step) => [writeLaunch(step, [sideOf(step, input(step, 1), output(step), step.attrs.headDim)])],
    refusal: (step, refusal) => kvRefusal(step, refusal, single),
  }),
  kernel("kv_write_pair", {
    accepts: (node) => reasons(converts(node, 2)),
    launches: (step) => {
      const { headDim, valueDim = headDim } = step.attrs;
      return [
        writeLaunch(step, [sideOf(step, input(step, 2), output(step), headDim), sideOf(step, input(step, 3), output(step, 1), valueDim)]),
      ];
    },
    refusal: (step, refusal) => kvRefusal(step, refusal, pair),
  }),
  kernel("rope_kv_write_pair", {
    accepts: ({ inputs }) => reasons(hasF64(...inputs)),
    launches: (step) => {
      const { headDim, valueDim = headDim } = step.attrs;
      const rope = { cos: input(step, 4), sin: input(step, 5) };
      const [k, v] = [sideOf(step, input(step, 2), output(step), headDim, rope), sideOf(step, input(step, 3), output(step, 1), valueDim)];
      return [writeLaunch(step, [k, v], 6, rope)];
    },
    refusal: (step, refusal) => kvRefusal(step, refusal, pair),
  }),
  kernel("kv_linearize_ring", { launches: (step) => [ringLaunch(step)], refusal: ringRefusal }),
];
