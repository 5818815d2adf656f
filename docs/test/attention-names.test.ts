import { readFileSync } from "node:fs";
import { join } from "node:path";
import { renderAttentionNames } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { root } from "./blocks.ts";

test("docs/attention.md has the names of other kernels as the code has them", () => {
  expect(readFileSync(join(root, "docs/attention.md"), "utf8")).toContain(`\n\n${renderAttentionNames()}\n\n`);
});
