// `npm test`: sets up what is missing, then type check (tests too), lint, import rules and every test. Arguments go to vitest.
import { spawnSync } from "node:child_process";
import { argv, execPath, exit, stderr } from "node:process";
import { root, setup } from "./setup.mjs";

setup({ metal: true });
const checks = [
  ["type check", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.test.json"]],
  ["type check of tools", ["node_modules/typescript/bin/tsc", "-p", "native/softmetal"]],
  ["lint", ["node_modules/@biomejs/biome/bin/biome", "lint", "--error-on-warnings"]],
  ["import rules", ["scripts/check-imports.mjs"]],
  ["tests", ["node_modules/vitest/vitest.mjs", "run", ...argv.slice(2)]],
];
const failed = [];
for (const [name, args] of checks) {
  stderr.write(`test: ${name}\n`);
  if (spawnSync(execPath, args, { cwd: root, stdio: "inherit" }).status !== 0) failed.push(name);
}
if (failed.length > 0) {
  stderr.write(`test: failed: ${failed.join(", ")}\n`);
  exit(1);
}
