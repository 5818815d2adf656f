import { type AnyOpDef, ops, type Tensor } from "@rlxjs/ir";
import { REFERENCE } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { type Case, casesOf, kernelOf, resultsOf, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { backendOf, describeOnMetal, expectNoFaults, variants } from "./variants.ts";

const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);

describeOnMetal("every op on every sample, as its reference says; in every variant the same bits", () => {
  test.each(computed.map((def) => [def.name, def] as const))("%s", (_, def) => {
    const all = casesOf(def);
    let first: readonly Tensor[] | undefined;
    for (const variant of variants) {
      const backend = backendOf(variant);
      const samples = all.filter((sample) => kernelOf(backend, def, sample) !== REFERENCE);
      const results = resultsOf(backend, def, samples);
      expectNoFaults();
      if (first) expect(differences(def, samples, first, results), variant.name).toEqual([]);
      else expect(wrongResults(def, samples, results), variant.name).toEqual([]);
      first ??= results;
    }
  });
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
