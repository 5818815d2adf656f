import { readdirSync, readFileSync } from "node:fs";
import { type AnyOpDef, ops, type Tensor } from "@rlxjs/ir";
import { metalKernels } from "@rlxjs/backend-metal";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { type Case, casesOf, opGraph, refusal, resultTypes, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { planProgram } from "../src/plan.ts";
import { samplesOf } from "./wide-samples.ts";
import { backendOf, describeOnMetal, expectNoFaults, variants } from "./variants.ts";

const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);

/** What Metal takes of an op's samples. */
const accepted = (def: AnyOpDef): Case[] => samplesOf(def).filter((sample) => refusal(metalKernels, def, sample) === undefined);

describeOnMetal("every op on every sample, as its reference says; in every variant the same bits", () => {
  test.each(computed.map((def) => [def.name, def] as const))("%s", (_, def) => {
    const samples = accepted(def);
    let first: readonly Tensor[] | undefined;
    for (const variant of variants) {
      const backend = backendOf(variant);
      const results = resultsOf(backend, def, samples);
      expectNoFaults();
      if (first) expect(differences(def, samples, first, results), variant.name).toEqual([]);
      else expect(wrongResults(def, samples, results), variant.name).toEqual([]);
      first ??= results;
    }
  });
});

test("every kernel of every shader is launched by a sample", () => {
  const launched = computed.flatMap((def) => {
    const program = lowerGraph(opGraph(def, accepted(def)), { kernels: metalKernels, hoistWeights: false });
    return planProgram(program, metalKernels).pipelines.map((p) => p.function);
  });
  const folder = new URL("../../../shaders/", import.meta.url);
  const texts = readdirSync(folder).flatMap((name) => (name.endsWith(".metal") ? [readFileSync(new URL(name, folder), "utf8")] : []));
  // A template's kernels are its instances.
  const kernels = texts.flatMap((text) => {
    const templates = new Set([...text.matchAll(/host_name\(.* (\w+)</g)].map((m) => m[1]));
    const named = [...text.matchAll(/host_name\("(\w+)"\)|^kernel void (\w+)\(/gm)].map((m) => m[1] ?? m[2]);
    return named.filter((name) => !templates.has(name));
  });
  expect(kernels.length).toBeGreaterThan(40);
  expect(kernels.filter((name) => !launched.includes(String(name)))).toEqual([]);
});

/** Samples whose results are not the same bits; a NaN is as good as another. */
function differences(def: AnyOpDef, samples: readonly Case[], a: readonly Tensor[], b: readonly Tensor[]): string[] {
  return a.flatMap((x, i) => {
    const y = b[i];
    if (!y || Buffer.compare(x.bytes, y.bytes) === 0) return [];
    const at = x.toArray().findIndex((v, k) => !Object.is(v, y.get(k)));
    if (at < 0) return [];
    return [
      `${samples[Math.floor(i / def.outputs.length)]?.name}: output ${i % def.outputs.length} [${at}] is ${y.get(at)}, before it was ${x.get(at)}`,
    ];
  });
}

test("f64 is moved and compared, never computed with; hardly anything else is refused", () => {
  const moved = new Set<string>();
  const others: string[] = [];
  for (const def of computed)
    for (const sample of casesOf(def)) {
      const reason = refusal(metalKernels, def, sample);
      const hasF64 = [...sample.slots, ...resultTypes(def, sample)].some((t) => t?.dtype === "f64");
      if (hasF64 && reason === undefined) moved.add(def.name);
      else if (hasF64) expect(reason, `${def.name} ${sample.name}`).toBe("metal has no f64");
      else if (reason !== undefined) others.push(`${def.name}, ${sample.name}: ${reason}`);
    }
  expect([...moved]).toMatchInlineSnapshot(`
    [
      "gather",
      "kv_linearize_ring",
      "kv_write",
      "pad",
      "scatter",
      "argmax",
      "argmin",
      "topk",
      "expand",
      "reshape",
      "transpose",
      "concat",
      "slice",
      "state_write",
    ]
  `);
  expect(others).toMatchInlineSnapshot(`
        [
          "attention, #41 (f32[1,1,520], f16[1,5,520], f16[1,5,520], none, none, none, none, none, none, none, none): heads wider than 512",
        ]
      `);
});
