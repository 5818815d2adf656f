import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { loadAddon } from "@rlxjs/backend-cpu";
import { platformPackage } from "@rlxjs/runtime/node";
import { afterAll, expect, test } from "vitest";
import { demo, root } from "./cli.ts";

const folder = mkdtempSync(join(tmpdir(), "rlxjs-packages-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
}
const manifestIn = (path: string): Manifest => JSON.parse(readFileSync(join(path, "package.json"), "utf8"));

/** What our packages need of others, and what those need: where it lies in this checkout, by name. */
function othersOf(path: string, found = new Map<string, string>()): Map<string, string> {
  const { name, dependencies = {} } = manifestIn(path);
  const own = name.startsWith("@rlxjs/") || name === "rlxjs";
  if (!own) found.set(name, path);
  // pnpm puts what a package depends on below the workspace's own packages, and beside others.
  const modules = own ? join(path, "node_modules") : path.slice(0, -name.length);
  for (const other of Object.keys(dependencies)) if (!found.has(other)) othersOf(realpathSync(join(modules, other)), found);
  return found;
}

/** A folder with nothing but Node in it: neither compilers nor make. */
const path = join(folder, "bin");
mkdirSync(path);
symlinkSync(process.execPath, join(path, "node"));
const npm = realpathSync(
  (process.env.PATH ?? "")
    .split(delimiter)
    .map((dir) => join(dir, "npm"))
    .find(existsSync) ?? "npm",
);

/** What a JavaScript program prints, with that path and without settings. */
function node(cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, env: { PATH: path, HOME: folder }, encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return stdout;
}

/** A tarball of a package that is installed here. */
function tarballOf(name: string, from: string): string {
  const file = join(folder, `${name.replace("/", "-")}.tgz`);
  const copy = join(folder, "copies", name);
  cpSync(from, join(copy, "package"), { recursive: true });
  expect(spawnSync("tar", ["-czf", file, "-C", copy, "package"]).status).toBe(0);
  return file;
}

const main = `
import { define, Session } from "rlxjs";

const session = await Session.open({ device: "cpu", kernels: "native" });
const compiled = await session.compile(define("double", (g) => ({ y: g.mul(g.input("x", "f32", [3]), 2) })));
const { y } = await compiled.run({ inputs: { x: Float32Array.of(1, 2, 3) } });
console.log(y.toArray().join(" "), compiled.stats().nativeCalls, session.info.description);
`;

test("packages install offline into an empty project, where native code runs without a compiler", () => {
  const packed = spawnSync(process.execPath, ["scripts/pack.mjs", folder], { cwd: root, encoding: "utf8" });
  if (!loadAddon().addon) {
    expect(packed).toMatchObject({ status: 1, stderr: expect.stringContaining("not built; `npm run build:native`") });
    return;
  }
  expect(packed.status, packed.stderr).toBe(0);
  const ours = packed.stdout
    .trim()
    .split("\n")
    .map((name): readonly [Manifest, string] => {
      const file = join(folder, name);
      return [JSON.parse(spawnSync("tar", ["-xzOf", file, "package/package.json"], { encoding: "utf8" }).stdout), file];
    });
  expect(ours.map(([{ name }]) => name)).toContain(platformPackage);
  expect(
    ours.filter(([{ scripts }]) => scripts),
    "nothing runs while installing",
  ).toEqual([]);

  const project = join(folder, "project");
  mkdirSync(project);
  const others = [...othersOf(join(root, "packages/cli"))].map(([name, from]) => [name, tarballOf(name, from)]);
  const files = [...ours.map(([{ name }, file]) => [name, file]), ...others];
  const dependencies = Object.fromEntries(files.map(([name, file]) => [name, `file:${file}`]));
  // Nobody names the platform's package but those that load its addon; for want of a registry, this is where it comes from.
  const { [platformPackage]: prebuilt, ...named } = dependencies;
  writeFileSync(join(project, "package.json"), JSON.stringify({ dependencies: named, overrides: { [platformPackage]: prebuilt } }));
  node(project, npm, "install", "--offline", "--no-audit", "--no-fund", "--no-update-notifier");

  writeFileSync(join(project, "main.mjs"), main);
  expect(node(project, "main.mjs")).toMatch(/^2 4 6 1 native /);
  const rlxjs = join(project, "node_modules/rlxjs/bin/rlxjs.js");
  expect(node(project, rlxjs, "devices", "--json")).toContain(`"description":"native`);
  expect(node(project, rlxjs, "run", join(root, demo), "-p", "Once upon a time", "-n", "4")).toMatch(/^Once upon a time\S* ./);
});
