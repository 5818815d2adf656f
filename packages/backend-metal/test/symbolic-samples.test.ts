import { metalKernels } from "@rlxjs/backend-metal";
import { type AnyOpDef, ops } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { casesOf, refusal, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { someOf } from "./chained.ts";
import { isCutAlike, symbolicResults } from "./symbolic-samples.ts";
import { backendOf, describeOnMetal, expectNoFaults, strictest } from "./variants.ts";

describeOnMetal("every op in a program whose extents are symbols", () => {
  const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined && def.name !== "iota");
  test.each(computed.map((def) => [def.name, def] as const))("%s", (_, def) => {
    const all = casesOf(def).filter((sample) => refusal(metalKernels, def, sample) === undefined);
    const { samples, results, launches, launchesOfKnown } = symbolicResults(backendOf(strictest), def, someOf(all, 24));
    expectNoFaults();
    expect(wrongResults(def, samples, results)).toEqual([]);
    expect(samples.length).toBeGreaterThan(0);
    if (isCutAlike(def)) expect(launches).toEqual(launchesOfKnown);
  });
});
