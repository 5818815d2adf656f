// The mutants of the Metal backend, each with the ops whose samples execute it.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { furtherMutations, mutantsOf, mutations } from "../../native/softmetal/scripts/mutations.mjs";
import { root } from "../setup.mjs";

/** @type {import("../../native/softmetal/scripts/mutations.mjs").Mutation[]} Of launches: order of bindings and arguments, access, grids, constants. */
const bindingMutations = [
  {
    name: "bindings exchanged",
    pattern: /\b((?:read|write|readWrite)\([^()]*\)), ((?:read|write|readWrite)\([^()]*\))/g,
    replacement: "$2, $1",
  },
  { name: "arguments exchanged", pattern: /\b(u?(?:int|long)\([^()]*\)), (u?(?:int|long)\([^()]*\))/g, replacement: "$2, $1" },
  { name: "write to read", pattern: /\bwrite\(/g, replacement: "read(" },
  { name: "readWrite to read", pattern: /\breadWrite\(/g, replacement: "read(" },
  { name: "readWrite to write", pattern: /\breadWrite\(/g, replacement: "write(" },
  { name: "ceilDiv to div", pattern: /\bceilDiv\(/g, replacement: "div(" },
  { name: "div to ceilDiv", pattern: /\bdiv\(/g, replacement: "ceilDiv(" },
  { name: "mul to add", pattern: /\bmul\(/g, replacement: "add(" },
  { name: "add to mul", pattern: /\badd\(/g, replacement: "mul(" },
  { name: "sub to add", pattern: /\bsub\(/g, replacement: "add(" },
  { name: "min to max", pattern: /\bmin\(/g, replacement: "max(" },
  { name: "max to min", pattern: /\bmax\(/g, replacement: "min(" },
  { name: "true to false", pattern: /\btrue\b/g, replacement: "false" },
  { name: "false to true", pattern: /\bfalse\b/g, replacement: "true" },
  { name: "0 to 1", pattern: /\b0\b/g, replacement: "1" },
  { name: "1 to 2", pattern: /\b1\b/g, replacement: "2" },
  { name: "=== to !==", pattern: / === /g, replacement: " !== " },
  { name: "&& to ||", pattern: / && /g, replacement: " || " },
];

/** Files that contain a text's `#include "..."` or `from "./..."`, with those that contain them in turn. */
function usersOf(texts, file, mentions) {
  const users = new Set([file]);
  for (let before = 0; before !== users.size; ) {
    before = users.size;
    for (const [name, text] of texts) if ([...users].some((used) => mentions(text, used))) users.add(name);
  }
  return [...users];
}

const textsIn = (path, pattern) =>
  new Map(
    readdirSync(path, { recursive: true })
      .filter((name) => pattern.test(name))
      .map((name) => [name, readFileSync(join(path, name), "utf8")]),
  );

/** Which test files are about a source, by parts of their names. @type {[RegExp, string[]][]} */
const subjects = [
  [/attention/, ["attention-"]],
  [/kv|fwht|hadamard/, ["kv-", "ring-cache", "rope-kv"]],
  [/rope|double_float/, ["rope"]],
  [/linear|matvec|tiles|matmul|grouped|routine|conv|blocks|embedding/, ["linear", "products", "experts", "weights", "epilogues"]],
  [/copy|iota|region|grid/, ["copy", "rows"]],
  [/gather|indices/, ["gather", "rows"]],
  [/norm|softmax|reduce|scan|select|topk|route|teams|lanes|quads|order|rows|numbers|grid/, ["rows", "reduce", "select"]],
  [/scalar|epilogue|broadcast|elementwise|msl/, ["msl", "epilogues"]],
  [/common|expr|checks/, ["rows", "copy", "gather", "linear", "kv-write", "refusals"]],
];

/** The test files for a source, as vitest takes them. @param {string} file */
const testsOf = (file) => [
  ...new Set(
    subjects.flatMap(([pattern, names]) =>
      pattern.test(basename(file)) ? names.map((name) => `packages/backend-metal/test/${name}`) : [],
    ),
  ),
];

/** Generated numbers, which a test compares with their source as text. */
const tables = new Set(["kv_tables.h"]);

/** What the printer of generated kernels includes. */
const generated = '#include "broadcast.h"\n#include "scalar.h"\n';
/** Ops that together execute what all generated kernels have in common. */
const typicallyGenerated = ["add", "cast", "region", "where"];

/** The generated kernels that call a function of scalar.h, by its name. */
function opsCalling(text, line, all) {
  const before = text.split("\n").slice(0, line).join("\n");
  const [, name = ""] = [...before.matchAll(/^(?:inline )?[\w ]+ (?:scalar_)?([a-z]+)\w*\(/gm)].at(-1) ?? [];
  const named = name === "" ? [] : all.filter((op) => op.includes(name));
  return named.length > 0 ? named : typicallyGenerated;
}

/** Mutants of all shaders. @param {Record<string, string[]>} opsByFile */
export function shaderMutants(opsByFile) {
  const texts = textsIn(join(root, "shaders"), /\.(metal|h)$/).set("generated", generated);
  return [...texts].flatMap(([file, text]) => {
    if (tables.has(file) || text === generated) return [];
    const users = usersOf(texts, file, (other, used) => other.includes(`#include "${used}"`));
    const ops = [
      ...new Set(users.flatMap((user) => (user === "generated" ? typicallyGenerated : opsByFile[user.replace(/\.metal$/, "")]) ?? [])),
    ];
    return mutantsOf(text, [...mutations, ...furtherMutations]).map((mutant) => ({
      ...mutant,
      file: `shaders/${file}`,
      ops: file === "scalar.h" ? opsCalling(text, mutant.line, opsByFile.generated) : ops,
      users,
      tests: testsOf(file),
      whole: text,
    }));
  });
}

/** Mutants of what makes launches. @param {Record<string, string[]>} opsByFile A file's ops are those that it, or a file that uses it, names. */
export function bindingMutants(opsByFile) {
  const texts = textsIn(join(root, "packages", "backend-metal", "src"), /^(kernels|msl)\/.*\.ts$|^expr\.ts$/);
  const all = new Set(Object.values(opsByFile).flat());
  const generatedToo = ["gelu", "clamp", "with_epilogue", ...typicallyGenerated];
  return [...texts].flatMap(([file, text]) => {
    const users = usersOf(texts, file, (other, used) => new RegExp(`from "[./a-z]*/${basename(used).replace(".", "\\.")}"`).test(other));
    const named = users
      .filter((u) => u !== "kernels/index.ts")
      .flatMap((u) => [...(texts.get(u) ?? "").matchAll(/"([a-z_0-9]+)"/g)].map(([, op]) => op));
    const ops = [...new Set(named.filter((op) => all.has(op)))];
    const chosen = users.includes("kernels/elementwise.ts") || ops.length === 0 ? [...new Set([...generatedToo, ...ops])] : ops;
    return mutantsOf(text, bindingMutations)
      .filter(({ text: line }) => !/^(import|export (type|interface)|\*|readonly )/.test(line))
      .map((mutant) => ({ ...mutant, file: `packages/backend-metal/src/${file}`, ops: chosen, tests: testsOf(file), whole: text }));
  });
}

/** Mutants of the host that replays programs, native code; what tests of the host are there for. */
export function hostMutants() {
  const tests = ["barriers", "host", "memory", "runs", "errors"].map((name) => `packages/backend-metal/test/${name}`);
  const texts = textsIn(join(root, "native", "metal"), /^\w+\.(cpp|mm)$/);
  return [...texts].flatMap(([file, text]) =>
    mutantsOf(text, [...mutations, ...furtherMutations]).map((mutant) => ({
      ...mutant,
      file: `native/metal/${file}`,
      ops: [],
      tests,
      whole: text,
    })),
  );
}
