import { type Builder, type DType, dim, type Graph, graphBuilder, subDims, Tensor, type Value } from "@rlxjs/ir";
import fc from "fast-check";

/** One node to add: which rule, which earlier values, and numbers for attributes. */
interface Pick {
  readonly rule: number;
  readonly a: number;
  readonly b: number;
  readonly x: number;
  readonly values: readonly number[];
  readonly label: string | undefined;
  readonly origin: string | undefined;
}

const seq = dim("seq", { min: 1, max: 64 });
const batch = dim("batch", { min: 0, max: 3 });

/** Rules keep the type f32 [seq, 4], so that any value goes with any other. */
const rules: ((g: Builder, a: Value, b: Value, pick: Pick) => Value)[] = [
  (g, a, b, { label }) => g.add(a, b, label === undefined ? {} : { label }),
  (g, a, b) => g.mul(a, b),
  (g, a) => g.exp(a),
  (g, a, _, { x }) => g.rmsNorm(a, { eps: Math.abs(x) || 0 }),
  (g, a, _, { x }) => g.clamp(a, { min: x }),
  (g, a, _, { x }) => g.mul(a, x),
  (g, a, _, { values }) => g.add(a, g.constant(Tensor.from("f32", [4], values))),
  // more elements than are written into text
  (g, a, _, { values }) => g.add(a, g.reduceMax(g.constant(Tensor.from("f32", [16, 4], Array(16).fill(values).flat())), { axes: [0] })),
  (g, a, _, { b }) => g.cast(g.cast(a, { dtype: (["f16", "bf16", "f64"] satisfies DType[])[b % 3] ?? "f16" }), { dtype: "f32" }),
  (g, a) => g.reshape(g.reshape(a, { shape: [2, seq, 2] }), { shape: [seq, 4] }),
  (g, a, b) => g.slice(g.concat([a, b], { axis: 0 }), { axis: 0, start: subDims(seq, 1), size: seq }),
  (g, a) => g.topk(a, { k: 4 }).values,
  (g, a) => g.transpose(g.transpose(a, { perm: [1, 0] }), { perm: [1, 0] }),
  (g, a, b) => g.where(g.lt(a, b), a, b),
];

/** Build the graph of a list of picks; `shuffle` adds dead nodes in between, other labels, origins and graph name. */
export function graphOf(picks: readonly Pick[], shuffled = false): Graph {
  const g = graphBuilder(shuffled ? "other" : "random");
  g.input("unused", "i64", [batch, seq]);
  const weight = g.cast(g.param("w", "f16", [4]), { dtype: "f32" });
  const pool = [g.input("x", "f32", [seq, 4]), g.mul(g.input("y", "f32", [seq, 4]), weight)];
  let counter = g.state("counter", "f32", [seq, 4]);
  for (const pick of picks) {
    const a = pool[pick.a % pool.length] as Value;
    const b = pool[pick.b % pool.length] as Value;
    if (shuffled) g.neg(g.constant(pick.x));
    g.origin = shuffled ? "elsewhere" : pick.origin;
    const made = rules[pick.rule % rules.length]?.(g, a, b, shuffled ? { ...pick, label: "relabelled" } : pick) ?? a;
    if (pick.rule % 5 === 0) counter = g.stateWrite(counter, made);
    pool.push(made);
  }
  for (const [i, v] of pool.slice(-3).entries()) g.output(`out ${i} "quoted"`, v);
  return g.build();
}

const text = fc.option(fc.string({ unit: "binary" }), { nil: undefined });
export const picks: fc.Arbitrary<Pick[]> = fc.array(
  fc.record({
    rule: fc.nat(200),
    a: fc.nat(50),
    b: fc.nat(50),
    x: fc.double(),
    values: fc.array(fc.float(), { minLength: 4, maxLength: 4 }),
    label: text,
    origin: text,
  }),
  { minLength: 1, maxLength: 25 },
);
