import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderKvNames } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { root } from "./blocks.ts";

test("docs/kv-cache.md has the names of the reference as the code has them", () => {
  expect(readFileSync(join(root, "docs/kv-cache.md"), "utf8")).toContain(`\n\n${renderKvNames()}\n\n`);
});
