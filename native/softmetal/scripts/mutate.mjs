// Mutation test of software Metal: changes one place of a test kernel, runs the kernel's cases in the checked build in three orders, and expects a complaint
// (the compiler's, a fault, a wrong result). Prints the survivors.  node native/softmetal/scripts/mutate.mjs [FILE ...]
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { mutantsOf, mutations } from "./mutations.mjs";

const here = fileURLToPath(new URL("..", import.meta.url));

/** The test cases, bundled so that this script can import TypeScript. */
async function loadCases() {
  const outfile = join(here, "test", `.cases-${process.pid}.mjs`);
  try {
    const options = { bundle: true, platform: "node", format: "esm", conditions: ["@rlxjs/source"], logLevel: "silent" };
    // Tool modules find their own files by their place: they stay outside of the bundle.
    await build({ ...options, entryPoints: [join(here, "test", "cases.ts")], outfile, external: ["../tool/*"] });
    return (await import(outfile)).cases;
  } finally {
    rmSync(outfile, { force: true });
  }
}

const folder = mkdtempSync(join(tmpdir(), "softmetal-mutants-"));
try {
  const cases = await loadCases();
  const wanted = process.argv.slice(2);
  const files = [...new Set(cases.map(({ file }) => file))].filter((file) => wanted.length === 0 || wanted.includes(file));
  const all = files.flatMap((file) =>
    mutantsOf(readFileSync(join(here, "test", "kernels", `${file}.metal`), "utf8"), mutations).map((mutant) => ({ file, ...mutant })),
  );
  /** @type {string[]} */
  const survivors = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < all.length; i = next++) {
      const { file, name, line, source, text } = all[i];
      const path = join(folder, `${i}-${file}.metal`);
      writeFileSync(path, source);
      if (!(await isKilled(cases, file, path))) survivors.push(`${file}.metal:${line}: ${name}: ${text}`);
    }
  };
  await Promise.all([worker(), worker()]);
  process.stdout.write(`${all.length} mutants, ${all.length - survivors.length} killed, ${survivors.length} survived\n`);
  for (const survivor of survivors.sort()) process.stdout.write(`  ${survivor}\n`);
} finally {
  rmSync(folder, { recursive: true });
}

/** @param {import("../test/cases.ts").Case[]} cases @param {string} file @param {string} path of the mutant */
async function isKilled(cases, file, path) {
  for (const order of /** @type {const} */ (["forward", "reverse", "random"])) {
    for (const each of cases.filter((candidate) => candidate.file === file)) {
      const problems = await each.problems(path, { order, check: true, workers: 1 }).catch((error) => [String(error)]);
      if (problems.length > 0) return true;
    }
  }
  return false;
}
