import { readFileSync } from "node:fs";
import { join } from "node:path";
import { kvQuantizeRows, renderKvNames } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { root } from "./blocks.ts";

test("docs/kv-cache.md has the names of the reference as the code has them", () => {
  const page = readFileSync(join(root, "docs/kv-cache.md"), "utf8");
  for (const table of [renderKvNames(), renderKvNames(kvQuantizeRows)]) expect(page).toContain(`\n\n${table}\n\n`);
});
