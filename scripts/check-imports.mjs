// Checks how the packages import: downward only, other packages only by their name (their index.ts), no cycles between files (types aside),
// and nothing from Node in what browsers use (proved by bundling it for the browser).
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { exit, stderr, stdout } from "node:process";
import { build } from "esbuild";
import { parseSync } from "oxc-parser";
import { root } from "./setup.mjs";

/** What each package may import of ours. */
const below = {
  ir: [],
  runtime: ["ir"],
  "backend-cpu": ["ir", "runtime"],
  "backend-metal": ["ir", "runtime"],
  "models-core": ["ir", "runtime"],
  cli: ["ir", "runtime", "backend-cpu", "backend-metal", "models-core"],
};
const problems = [];

function filesOf(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesOf(path) : path.endsWith(".ts") ? [path] : [];
  });
}

/** Every module that a file names: static and dynamic imports and re-exports. `types`: it is gone when the program runs. */
function importsOf(path) {
  const source = readFileSync(path, "utf8");
  const { module, errors } = parseSync(path, source);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  const imports = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    types: entries.length > 0 && entries.every((entry) => entry.isType),
  }));
  const reexports = module.staticExports
    .flatMap((statement) => statement.entries)
    .flatMap(({ moduleRequest, isType }) => (moduleRequest ? { specifier: moduleRequest.value, types: isType } : []));
  const dynamic = module.dynamicImports.map(({ moduleRequest: { start, end } }) => ({
    specifier: source.slice(start, end).replace(/^["'`]|["'`]$/g, ""),
    types: false,
  }));
  return [...imports, ...reexports, ...dynamic];
}

const graph = new Map();
for (const [name, allowed] of Object.entries(below)) {
  const folder = join(root, "packages", name, "src");
  for (const path of filesOf(folder)) {
    const edges = [];
    const wrong = (specifier, why) => problems.push(`${relative(root, path)}: imports "${specifier}": ${why}`);
    for (const { specifier, types } of importsOf(path)) {
      const own = /^@rlxjs\/([^/]+)(\/.*)?$/.exec(specifier);
      if (own !== null) {
        if (!allowed.includes(own[1])) wrong(specifier, `${name} may import ${allowed.join(", ") || "no other package"}`);
        if (own[2] !== undefined && own[2] !== "/node") wrong(specifier, "another package's insides; import it by its name");
      } else if (specifier.startsWith(".")) {
        const target = resolve(dirname(path), specifier);
        if (relative(folder, target).startsWith("..")) wrong(specifier, "outside of the package's src");
        if (!types) edges.push(target);
      }
    }
    graph.set(path, edges);
  }
}

// Depth-first search; a file met again while it is still being visited closes a cycle.
const done = new Set();
function visit(path, trail) {
  if (trail.includes(path)) {
    problems.push(`cycle: ${[...trail.slice(trail.indexOf(path)), path].map((file) => relative(root, file)).join(" -> ")}`);
  } else if (!done.has(path)) {
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  }
}
for (const path of graph.keys()) visit(path, []);

for (const name of ["ir", "runtime", "models-core"]) {
  const entry = join(root, "packages", name, "src", "index.ts");
  const options = { platform: "browser", format: "esm", conditions: ["@rlxjs/source"], bundle: true, write: false, logLevel: "silent" };
  const { errors } = await build({ entryPoints: [entry], ...options }).catch((failure) => failure);
  for (const { location, text } of errors) problems.push(`${location?.file ?? entry}: not fit for a browser: ${text}`);
}

for (const problem of problems) stderr.write(`${problem}\n`);
if (problems.length > 0) exit(1);
stdout.write(`imports: ${graph.size} files, downward only, no cycles; ir, runtime and models-core bundle for the browser\n`);
