import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { loadAddon } from "@rlxjs/backend-cpu";
import { beforeAll, expect, test } from "vitest";
import { blocks, root } from "./blocks.ts";

const copy = join(root, ".cache", "adding-an-op");
const changes = blocks.filter(({ page }) => page === "docs/adding-an-op.md").map(({ info, code }) => ({ info, code }));
const files = changes.filter(({ info }) => info.startsWith("file="));

/** Runs a Node program in the copy. */
function node(...args: string[]) {
  const env = { ...process.env, RLXJS_NATIVE_BUILD: join(root, "packages/backend-cpu/build/Release") };
  return spawnSync(process.execPath, args, { cwd: copy, env, encoding: "utf8" });
}

/** The packages as they are, with the page's files and lines put in. Their own node_modules are relative links, which keep working. */
beforeAll(() => {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const name of ["tsconfig.base.json", "vitest.config.ts", "package.json"]) cpSync(join(root, name), join(copy, name));
  for (const name of ["ir", "runtime", "backend-cpu"])
    cpSync(join(root, "packages", name), join(copy, "packages", name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/^(dist|build|.*\.tsbuildinfo)$/.test(basename(path)),
    });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  for (const { info, code } of changes) {
    const [kind, path = ""] = info.split("=");
    if (kind === "file") writeFileSync(join(copy, path), code);
    else if (kind === "line") appendFileSync(join(copy, path), code);
    else throw new Error(`expected file= or line=, got "${info}"`);
  }
});

test("the page adds ops", () => {
  expect(files.length).toBeGreaterThanOrEqual(2);
});

test("the changed packages are well typed", () => {
  expect(node("node_modules/typescript/bin/tsc", "-p", "packages/ir", "--noEmit").stdout).toBe("");
});

test.each(files)("$info passes the conformance suite on every backend", ({ code }) => {
  const [, op = ""] = /name: "(\w+)"/.exec(code) ?? [];
  const report = join(copy, "report.json");
  const flags = ["--reporter=json", `--outputFile=${report}`, "-t", `${op}$`];
  const { stderr } = node("node_modules/vitest/vitest.mjs", "run", "packages/backend-cpu/test/conformance.test.ts", ...flags);
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
  expect({ numFailedTests, stderr }).toEqual({ numFailedTests: 0, stderr: "" });
  expect(numPassedTests).toBeGreaterThanOrEqual(loadAddon().addon ? 2 : 1);
});
