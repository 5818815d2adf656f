import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { libraryVersion } from "../src/version.ts";

// What is cached depends on ops and their decompositions, on passes, and on what the kernels take: one version for all of them.
test.each(["ir", "runtime", "backend-cpu"])("the version in keys of cached programs is that of %s", (name) => {
  const manifest: unknown = JSON.parse(readFileSync(new URL(`../../${name}/package.json`, import.meta.url), "utf8"));
  expect(manifest).toMatchObject({ version: libraryVersion });
});
