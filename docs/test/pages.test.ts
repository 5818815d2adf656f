import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { blocks, root } from "./blocks.ts";

const run = promisify(execFile);
const folder = join(root, ".cache", "docs");
const nameOf = (page: string, line: number): string => `${page.replace(/\W/g, "-")}-${line}`;
/** Modules on pages, written to files; `file` is what runs. */
const onPages = blocks
  .filter(({ language, info }) => language === "ts" && info === "")
  .map(({ page, line, code }) => ({ page, line, code, file: join(folder, `${nameOf(page, line)}.ts`) }));
/** `examples/NAME.ts`, or `examples/NAME/main.ts` of an example with more files. */
const examples = readdirSync(join(root, "examples"), { withFileTypes: true }).map((entry) => {
  const page = `examples/${entry.name}${entry.isDirectory() ? "/main.ts" : ""}`;
  return { page, line: 1, code: readFileSync(join(root, page), "utf8"), file: join(root, page) };
});
const modules = [...onPages, ...examples];
const consoles = blocks.filter(({ language }) => language === "console");

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { file, code } of onPages) writeFileSync(file, code);
  writeFileSync(join(folder, "tsconfig.json"), '{ "extends": "../../tsconfig.test.json", "include": ["*.ts", "../../examples"] }');
});

test("every page has code that runs", () => {
  expect(modules.length).toBeGreaterThan(0);
  expect(consoles.length).toBeGreaterThan(0);
});

test("modules are well typed", async () => {
  const checked = run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", folder], { cwd: root });
  expect(await checked.catch((error: { stdout: string }) => error)).toMatchObject({ stdout: "" });
});

describe.each(modules)("$page:$line", ({ page, line, code, file }) => {
  test("runs and prints what it says", async () => {
    const outfile = join(folder, `${nameOf(page, line)}.mjs`);
    await build({ entryPoints: [file], outfile, bundle: true, packages: "external", format: "esm", target: "node20" });
    const { stdout } = await run(process.execPath, [outfile], { cwd: root });
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
