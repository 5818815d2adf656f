// Mutation test of software Metal: changes one place of a test kernel, runs the kernel's cases in the checked build in three orders, and expects a complaint
// (the compiler's, a fault, a wrong result). Prints the survivors.  node native/softmetal/scripts/mutate.mjs [FILE ...]
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL("..", import.meta.url));

/** @type {{ name: string, pattern: RegExp, replacement: string }[]} */
const mutations = [
  { name: "barrier dropped", pattern: /(threadgroup|simdgroup)_barrier\(mem_flags::mem_threadgroup\);/g, replacement: ";" },
  { name: "barrier for other memory", pattern: /mem_flags::mem_threadgroup/g, replacement: "mem_flags::mem_device" },
  { name: "< to <=", pattern: / < /g, replacement: " <= " },
  { name: "> to >=", pattern: / > /g, replacement: " >= " },
  { name: ">= to >", pattern: / >= /g, replacement: " > " },
  { name: "+ to -", pattern: / \+ /g, replacement: " - " },
  { name: "- to +", pattern: / - /g, replacement: " + " },
  { name: "* to +", pattern: / \* /g, replacement: " + " },
  { name: "/ to *", pattern: / \/ /g, replacement: " * " },
  { name: "% to /", pattern: / % /g, replacement: " / " },
  { name: "&& to ||", pattern: / && /g, replacement: " || " },
  { name: "0 to 1", pattern: /\b0\b(?!\)\])/g, replacement: "1" },
  { name: "xor to down", pattern: /simd_shuffle_xor\(/g, replacement: "simd_shuffle_down(" },
  { name: "sum to max", pattern: /simd_sum\(/g, replacement: "simd_max(" },
  { name: "max to min", pattern: /\b(simd_)?max\(/g, replacement: "$1min(" },
  { name: "add to max", pattern: /atomic_fetch_add/g, replacement: "atomic_fetch_max" },
];

/** Each mutant of a text, outside of comments and includes. @param {string} text */
function mutants(text) {
  return mutations.flatMap(({ name, pattern, replacement }) =>
    [...text.matchAll(pattern)].flatMap((match) => {
      const line = text.slice(0, match.index).split("\n").length;
      const start = text.lastIndexOf("\n", match.index) + 1;
      if (/^\s*(#include|template|\/\/)|\/\//.test(text.slice(start, match.index + 1))) return [];
      const changed = match[0].replace(new RegExp(pattern.source), replacement);
      const source = text.slice(0, match.index) + changed + text.slice(match.index + match[0].length);
      return [{ name, line, source, text: text.split("\n")[line - 1].trim() }];
    }),
  );
}

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
    mutants(readFileSync(join(here, "test", "kernels", `${file}.metal`), "utf8")).map((mutant) => ({ file, ...mutant })),
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
