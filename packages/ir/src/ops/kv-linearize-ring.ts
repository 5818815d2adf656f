import { dimEquals } from "../dim.ts";
import { byteLength } from "../dtype.ts";
import { RunError, ShapeError } from "../errors.ts";
import { defineOp, input } from "../op.ts";
import { numericDTypes, randomTensor } from "../samples.ts";
import { showType } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { sameMemory } from "./copy.ts";
import { expectElements, expectNoOverlap } from "./kv-plan.ts";
import { expectShape, product } from "./rules.ts";

const op = "kv_linearize_ring";

export const kvLinearizeRing = defineOp({
  name: op,
  doc:
    "Puts the newest `length` rows of a ring src [..., srcCap, R] that end before position `end` in order: into rows 0 to length-1 of dst [..., dstCap, R]. " +
    "Row i is slot (end - length + i) mod srcCap; end, length: int [] or one per entry of the first axis. Any dtype, moved as bytes.",
  inputs: [input("dst", "any"), input("src", "any"), input("end", "int"), input("length", "int")],
  traits: { writes: ["dst"] },
  infer: ({ dst, src, end, length }) => {
    const rank = dst.shape.length;
    const alike = src.shape.length === rank && src.shape.every((d, i) => i === rank - 2 || dimEquals(d, dst.shape[i] ?? 1));
    if (rank < 2 || !alike || src.dtype !== dst.dtype)
      throw new ShapeError(op, `src: expected the type of dst ${showType(dst)} but for its axis -2, at least 2 axes, got ${showType(src)}`);
    expectElements(op, "dst", dst);
    expectElements(op, "src", src);
    for (const [name, t] of [
      ["end", end],
      ["length", length],
    ] as const)
      if (t.shape.length > 0) expectShape(op, name, t, rank < 3 ? [] : [dst.shape[0] ?? 1]);
    return dst;
  },
  reference: (operands, _, out) => linearizeRing(op, operands, out),
  samples: (rng) => [
    ...[...numericDTypes, "bool" as const].map((d) => sample(randomTensor(rng, d, [2, 6, 3]), randomTensor(rng, d, [2, 5, 3]), [8], [4])),
    sample(randomTensor(rng, "q8_0", [2, 3, 6, 64]), randomTensor(rng, "q8_0", [2, 3, 5, 64]), [7, 3], [5, 0]),
    sample(randomTensor(rng, "u8", [4, 3]), randomTensor(rng, "u8", [4, 3]), [4], [4]),
    sample(randomTensor(rng, "f32", [0, 4, 3]), randomTensor(rng, "f32", [0, 0, 3]), [4], [4]),
    sample(randomTensor(rng, "f32", [2, 0, 3]), randomTensor(rng, "f32", [2, 4, 3]), [4], [0]),
    sample(randomTensor(rng, "f16", [2, 4, 0]), randomTensor(rng, "f16", [2, 3, 0]), [4], [9]),
    {
      name: "the last position",
      inputs: {
        ...{ dst: randomTensor(rng, "i16", [1, 4, 3]), src: randomTensor(rng, "i16", [1, 5, 3]) },
        ...{ end: Tensor.from("i64", [1], [Number.MAX_SAFE_INTEGER]), length: Tensor.from("i64", [], [4]) },
      },
    },
  ],
});

interface RingOperands {
  readonly dst: Tensor;
  readonly src: Tensor;
  readonly end: Tensor;
  readonly length: Tensor;
}

/** The op by itself, under any name in errors; `out` may be the memory of dst. */
export function linearizeRing(name: string, { dst, src, end, length }: RingOperands, out: Tensor): void {
  const [srcCap = 0, row = 0] = src.shape.slice(-2);
  const dstCap = dst.shape.at(-2) ?? 0;
  const outer = product(dst.shape.slice(0, -2));
  const perEntry = outer / (dst.shape.length > 2 ? (dst.shape[0] ?? 1) : 1);
  const runs = Array.from({ length: row === 0 ? 0 : outer }, (_, lane) => {
    const entry = Math.floor(lane / perEntry);
    const at = (t: Tensor): bigint => t.getInt(t.shape.length === 0 ? 0 : entry);
    return checkRun(name, entry, { end: at(end), length: at(length) }, srcCap, dstCap);
  });
  if (runs.some((run) => run.length > 0)) expectNoOverlap(name, { dst: out.data }, { src: src.data });
  if (!sameMemory(out, dst)) out.bytes.set(dst.bytes);
  const unit = byteLength(src.dtype, [row]);
  for (const [lane, run] of runs.entries())
    for (let i = 0; i < run.length; i++) {
      const from = (lane * srcCap + ((run.end - run.length + i) % srcCap)) * unit;
      out.bytes.set(src.bytes.subarray(from, from + unit), (lane * dstCap + i) * unit);
    }
}

interface Run<N> {
  readonly end: N;
  readonly length: N;
}
/** @throws RunError for rows that a cache does not have. */
function checkRun(name: string, entry: number, { end, length }: Run<bigint>, srcCap: number, dstCap: number): Run<number> {
  const most = Math.min(srcCap, dstCap);
  const fail = (what: string, expected: string, got: bigint): RunError =>
    new RunError(name, `${what} of entry ${entry}: expected ${expected}, got ${got}`);
  if (length < 0 || length > most) throw fail("length", `0 to ${most}, the smaller one of the capacities ${srcCap} and ${dstCap}`, length);
  const last = Number.MAX_SAFE_INTEGER;
  if (end < length || end > last) throw fail("end", `${length} to ${last}`, end);
  return { end: Number(end), length: Number(length) };
}

function sample(dst: Tensor, src: Tensor, end: readonly number[], length: readonly number[]) {
  const ints = (list: readonly number[]): Tensor => Tensor.from("i32", list.length === 1 ? [] : [list.length], list);
  return { inputs: { dst, src, end: ints(end), length: ints(length) } };
}
