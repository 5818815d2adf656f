import { createNativeBackend, createReferenceBackend, loadAddon } from "@rlxjs/backend-cpu";
import { type AnyOpDef, ops } from "@rlxjs/ir";
import type { Backend } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import { casesOf, refusal, resultsOf, wrongResults } from "./one-op.ts";

const { addon } = loadAddon();
const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);
const backends: Record<string, Backend> = { reference: createReferenceBackend() };
// Every instruction set of this machine, with a pool, so that work is split.
if (addon) for (const isa of addon.cpuInfo().isas) backends[`native ${isa}`] = createNativeBackend(addon, { isa, threads: 2 });
afterAll(() => {
  for (const b of Object.values(backends)) b[Symbol.dispose]();
});

describe.each(Object.keys(backends))("%s", (name) => {
  test.each(computed.map((def) => def.name))("%s", (op) => {
    const def = computed.find((d) => d.name === op);
    const backend = backends[name];
    if (!def || !backend) throw new Error(op);
    const samples = casesOf(def);
    expect(wrongResults(def, samples, resultsOf(backend, def, samples))).toEqual([]);
  });
});

test("which samples run on references", () => {
  const native = backends[Object.keys(backends).find((n) => n.startsWith("native")) ?? ""];
  if (!native) return expect(addon).toBeUndefined();
  const left = computed.flatMap((def) => {
    const cases = casesOf(def);
    const slow = cases.filter((sample) => refusal(native.kernels, def, sample) !== undefined);
    return slow.length === 0 ? [] : [`${def.name}: ${slow.length} of ${cases.length}`];
  });
  expect(left).toMatchInlineSnapshot(`
    [
      "attention: 4 of 114",
      "linear: 21 of 136",
      "grouped_linear: 6 of 39",
      "rope_kv_write_pair: 18 of 18",
      "scatter: 8 of 87",
      "with_epilogue: 3 of 34",
    ]
  `);
});
