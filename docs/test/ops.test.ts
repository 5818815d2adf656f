import { join } from "node:path";
import { renderOpTable } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { root } from "./blocks.ts";

const intro = `# The op table

Derived from the records in \`packages/ir/src/ops/\`. Operands come by position, optional ones (\`?\`) and attributes by name in the last
argument: \`g.rmsNorm(x, { weight, eps: 1e-6 })\`. Shapes are in brackets; \`...\` is any number of axes. What the traits mean is in
\`OpTraits\` (\`packages/ir/src/op.ts\`).

`;

test("docs/ops.md is the op table (vitest -u writes it)", async () => {
  await expect(`${intro}${renderOpTable()}\n`).toMatchFileSnapshot(join(root, "docs/ops.md"));
});
