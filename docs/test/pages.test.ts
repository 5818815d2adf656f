import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { blocks, root } from "./blocks.ts";

const run = promisify(execFile);
const folder = join(root, ".cache", "docs");
const examples = readdirSync(join(root, "examples")).map((file) => {
  const page = `examples/${file}`;
  return { page, line: 1, code: readFileSync(join(root, page), "utf8") };
});
const modules = [...blocks.filter(({ language, info }) => language === "ts" && info === ""), ...examples].map(({ page, line, code }) => ({
  page,
  line,
  code,
  name: `${page.replace(/\W/g, "-")}-${line}`,
}));
const consoles = blocks.filter(({ language }) => language === "console");

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, code } of modules) writeFileSync(join(folder, `${name}.ts`), code);
  writeFileSync(join(folder, "tsconfig.json"), '{ "extends": "../../tsconfig.test.json", "include": ["*.ts"] }');
});

test("every page has code that runs", () => {
  expect(modules.length).toBeGreaterThan(0);
  expect(consoles.length).toBeGreaterThan(0);
});

test("modules are well typed", async () => {
  const checked = run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", folder], { cwd: root });
  expect(await checked.catch((error: { stdout: string }) => error)).toMatchObject({ stdout: "" });
});

describe.each(modules)("$page:$line", ({ name, code }) => {
  test("runs and prints what it says", async () => {
    const { code: javascript } = await transform(code, { loader: "ts", target: "node20", format: "esm" });
    const file = join(folder, `${name}.mjs`);
    writeFileSync(file, javascript);
    const { stdout } = await run(process.execPath, [file], { cwd: root });
    const printed = stdout.split("\n");
    expect(stdout).not.toBe("");
    for (const [, expected] of code.matchAll(/\/\/ => (.*)$/gm)) expect(printed).toContain(expected);
  });
});

describe.each(consoles)("$page:$line", ({ code }) => {
  test.each([...code.matchAll(/^\$ (.*)$/gm)].map(([, command = ""]) => command))("%s", async (command) => {
    const { stdout } = await run("bash", ["-c", command], { cwd: root });
    expect(stdout).not.toBe("");
  });
});
