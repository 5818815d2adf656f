import { metalKernels } from "@rlxjs/backend-metal";
import { type AnyOpDef, ops } from "@rlxjs/ir";
import { afterEach, expect, test } from "vitest";
import { casesOf, refusal, wrongResults } from "../../backend-cpu/test/one-op.ts";
import { chainedResults, chainOf } from "./chained.ts";
import { describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

afterEach(expectNoFaults);

describeOnMetal("every op between launches that write its operands and read its results", () => {
  const computed = (Object.values(ops) as AnyOpDef[]).filter((def) => def.traits.leaf === undefined);
  test.each(computed.map((def) => [def.name, def] as const))("%s", async (_, def) => {
    using session = await openSession(strictest);
    const all = casesOf(def).filter((sample) => refusal(metalKernels, def, sample) === undefined);
    const samples = chainOf(def, all);
    expect(wrongResults(def, samples, chainedResults(session, def, samples))).toEqual([]);
  });
});
