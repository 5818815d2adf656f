import {
  type AnyOpDef,
  type AttrRecord,
  checkAttrs,
  checkInputs,
  define,
  dim,
  evaluateGraph,
  findMismatch,
  type GraphBuilder,
  graphBuilder,
  type InputSpec,
  namedInputs,
  ops,
  Rng,
  randomTensor,
  runReference,
  Tensor,
  type Value,
  writtenSlots,
} from "@rlxjs/ir";
import { unseenValues } from "../src/ops/attention-hard-samples.ts";
import { describe, expect, test } from "vitest";

/** Operands of a sample by slot. */
const slotsOf = (def: AnyOpDef, inputs: Record<string, Tensor | readonly Tensor[] | undefined>): (Tensor | undefined)[] =>
  (def.inputs as readonly InputSpec[]).flatMap((s) =>
    s.mode === "variadic" ? [...(inputs[s.name] as readonly Tensor[])] : [inputs[s.name] as Tensor | undefined],
  );

function references(def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord): Tensor[] {
  const outs = checkInputs(def, slots, attrs).map((t) => Tensor.zeros(t.dtype, t.shape as number[]));
  runReference(def, slots, attrs, outs);
  return outs;
}

const table = Object.entries(ops) as [string, AnyOpDef][];

describe("every sample runs on the reference, within its inferred type", () => {
  test.each(table.filter(([, def]) => !def.traits.leaf))("%s", (_, def) => {
    const samples = def.samples?.(new Rng(1)) ?? [];
    expect(samples.length).toBeGreaterThan(0);
    for (const sample of samples) {
      const attrs = checkAttrs(def, (sample.attrs ?? {}) as AttrRecord);
      const slots = slotsOf(def, sample.inputs as never);
      const before = slots.map((t) => t?.bytes.slice());
      const outs = references(def, slots, attrs);
      expect(findMismatch(def, slots, attrs, outs, outs)).toBeUndefined();
      expect(slots.every((t, i) => !t || Buffer.compare(t.bytes, before[i] ?? t.bytes) === 0)).toBe(true); // operands are only read
    }
  });
});

describe("a decomposition computes what the reference does, within the bound", () => {
  test.each(table.filter(([, def]) => def.decompose))("%s", (_, def) => {
    let decomposed = 0;
    for (const [i, sample] of (def.samples?.(new Rng(2)) ?? []).entries()) {
      if (sample.name === unseenValues) continue;
      const attrs = checkAttrs(def, (sample.attrs ?? {}) as AttrRecord);
      const slots = slotsOf(def, sample.inputs as never);
      const g = graphBuilder(def.name);
      const written = writtenSlots(def);
      const kindOf = (slot: number) => (written.includes(slot) ? "state" : "input");
      const values = slots.map((t, slot) => t && g[kindOf(slot)](`x${slot}`, t.dtype, t.shape));
      const result = def.decompose?.(g, namedInputs<Value>(def, values) as never, attrs as never) as
        | Value
        | Record<string, Value>
        | undefined;
      if (result === undefined) continue;
      decomposed++;
      const names = def.outputs as readonly string[];
      for (const name of names) g.output(name, names.length === 1 ? (result as Value) : ((result as Record<string, Value>)[name] as Value));
      const outs = evaluateGraph((g as GraphBuilder).build(), {
        inputs: Object.fromEntries(slots.flatMap((t, slot) => (t && kindOf(slot) === "input" ? [[`x${slot}`, t]] : []))),
        states: new Map(
          written.flatMap((slot) => {
            const t = slots[slot];
            return t ? [[`x${slot}`, Tensor.fromBytes(t.dtype, t.shape, t.bytes.slice())] as const] : [];
          }),
        ),
      });
      const expected = references(def, slots, attrs);
      const got = names.map((n) => outs[n] as Tensor);
      expect(got.map((t) => [t.dtype, t.shape])).toEqual(expected.map((t) => [t.dtype, t.shape]));
      expect({ sample: i, mismatch: findMismatch(def, slots, attrs, expected, got) }).toEqual({ sample: i, mismatch: undefined });
    }
    expect(decomposed).toBeGreaterThan(0);
  });
});

test("decompositions hold for symbolic extents", () => {
  const n = dim("n", { min: 1, max: 9 });
  const attrs = { numHeads: 2, numKvHeads: 1, headDim: 4, causal: true, window: 3, maskKind: "none", kvLayout: "token" } as const;
  const rest = { scale: undefined, softcap: undefined, valueDim: undefined, kCodec: undefined, vCodec: undefined };
  const graph = define("symbolic", (g) => {
    const [q, kv] = [g.input("q", "f32", [1, n, 8]), g.input("kv", "f32", [1, n, 4])];
    const attention = ops.attention.decompose?.(g, { q, k: kv, v: kv }, { ...attrs, ...rest });
    const mean = ops.reduceMean.decompose?.(g, { x: q }, { axes: [1], keepDims: false });
    return { ...(attention && { attention }), ...(mean && { mean }) };
  });
  const rng = new Rng(4);
  const [q, kv] = [randomTensor(rng, "f32", [1, 5, 8]), randomTensor(rng, "f32", [1, 5, 4])];
  const out = evaluateGraph(graph, { inputs: { q, kv } });
  const check = (def: AnyOpDef, slots: (Tensor | undefined)[], given: AttrRecord, got: Tensor | undefined): void => {
    const all = checkAttrs(def, given);
    expect(findMismatch(def, slots, all, references(def, slots, all), got ? [got] : [])).toBeUndefined();
  };
  check(ops.attention, [q, kv, kv, ...Array<undefined>(8)], attrs, out.attention);
  check(ops.reduceMean, [q], { axes: [1] }, out.mean);
});
