import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { libraryVersion } from "../src/version.ts";

test("the version in keys of cached programs is that of the package", () => {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  expect(manifest).toMatchObject({ version: libraryVersion });
});
