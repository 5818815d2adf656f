import { createNativeBackend, createReferenceBackend, loadAddon } from "@rlxjs/backend-cpu";
import { type AnyOpDef, findMismatch, ops, runReference, Tensor } from "@rlxjs/ir";
import type { Backend } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import { type Case, casesOf, OneOp } from "./one-op.ts";

const { addon } = loadAddon();
const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);
const backends: Record<string, Backend> = { reference: createReferenceBackend() };
// Every instruction set of this machine, with a pool, so that work is split.
if (addon) for (const isa of addon.cpuInfo().isas) backends[`native ${isa}`] = createNativeBackend(addon, { isa, threads: 2 });
afterAll(() => {
  for (const b of Object.values(backends)) b[Symbol.dispose]();
});

/** The op's own reference, on fresh outputs of the types that `like` has. */
function referenceOf(def: AnyOpDef, sample: Case, like: readonly Tensor[]): Tensor[] {
  const outs = like.map((t) => Tensor.zeros(t.dtype, t.shape));
  runReference(def, sample.slots, sample.attrs, outs);
  return outs;
}

describe.each(Object.keys(backends))("%s", (name) => {
  test.each(computed.map((def) => def.name))("%s", (op) => {
    const def = computed.find((d) => d.name === op);
    const backend = backends[name];
    if (!def || !backend) throw new Error(op);
    const wrong: string[] = [];
    for (const sample of casesOf(def)) {
      using one = new OneOp(backend, def, sample);
      const actual = one.runSync();
      const bad = findMismatch(def, sample.slots, sample.attrs, referenceOf(def, sample, actual), actual);
      if (bad)
        wrong.push(
          `${sample.name} ${JSON.stringify(sample.attrs)}: ${bad.output}[${bad.index}] is ${bad.actual}, expected ${bad.expected} within ${bad.tolerance}`,
        );
    }
    expect(wrong).toEqual([]);
  });
});

test("which samples run on references", () => {
  const native = backends[Object.keys(backends).find((n) => n.startsWith("native")) ?? ""];
  if (!native) return expect(addon).toBeUndefined();
  const left = computed.flatMap((def) => {
    const cases = casesOf(def);
    const slow = cases.filter((sample) => {
      using one = new OneOp(native, def, sample);
      return one.kernel === "reference";
    });
    return slow.length === 0 ? [] : [`${def.name}: ${slow.length} of ${cases.length}`];
  });
  expect(left).toMatchInlineSnapshot(`
    [
      "attention: 4 of 99",
      "linear: 21 of 129",
      "grouped_linear: 6 of 34",
      "scatter: 8 of 81",
      "with_epilogue: 3 of 27",
    ]
  `);
});
