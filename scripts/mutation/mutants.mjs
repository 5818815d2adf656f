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
  { name: "true to false", pattern: /\btrue\b(?! \| string)/g, replacement: "false" },
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
  [/gather|indices|copy|region/, ["gather", "rows"]],
  [/norm|softmax|reduce|scan|select|topk|route|teams|lanes|quads|order|rows|numbers|grid/, ["rows", "reduce", "select"]],
  [/scalar|epilogue|broadcast|elementwise|msl/, ["msl", "epilogues"]],
  [/grid|expr|select|reduce/, ["grid"]],
  [/kernels\/(attention|reduce|select)/, ["scratch"]],
  [/select|rout|hadamard|kv-write|elementwise|epilogue|broadcast|linear|matmul|conv|grouped|embedding/, ["limits"]],
  [/common|expr|checks/, ["rows", "copy", "gather", "linear", "kv-write", "refusals"]],
];

/** The test files for a source, as vitest takes them. @param {string} file */
const testsOf = (file) => [
  ...new Set(
    subjects.flatMap(([pattern, names]) => (pattern.test(file) ? names.map((name) => `packages/backend-metal/test/${name}`) : [])),
  ),
];

/** Generated numbers, which a test compares with their source as text. */
const tables = new Set(["kv_tables.h"]);

/** What the printer of generated kernels includes. */
const generated = '#include "broadcast.h"\n#include "scalar.h"\n';
/** Ops that together execute what all generated kernels have in common. */
const typicallyGenerated = ["add", "cast", "region", "where"];

/** Ops whose kernels call a function of scalar.h, by its name. */
function opsCalling(text, line, opsByFile) {
  const before = text.split("\n").slice(0, line).join("\n");
  const [, name = ""] = [...before.matchAll(/^inline [\w ]+ (?:scalar_)?(store_result|[a-z]+)\w*\(/gm)].at(-1) ?? [];
  if (name === "store_result") return ["with_epilogue", ...["linear", "grouped", "conv", "matmul"].flatMap((file) => opsByFile[file])];
  const named = name === "" ? [] : opsByFile.generated.filter((op) => op.includes(name));
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
      ops: file === "scalar.h" ? opsCalling(text, mutant.line, opsByFile) : ops,
      users,
      tests: testsOf(file),
      whole: text,
    }));
  });
}

/** What a mutant calls instead, imported where the file does not. */
function withImports(source) {
  const from = { "expr.ts": ["add", "sub", "mul", "div", "ceilDiv", "min", "max"], "launch.ts": ["read", "write"] };
  const missing = Object.entries(from).flatMap(([file, names]) =>
    names
      .filter(
        (name) =>
          new RegExp(`(?<![.\\w])${name}\\(`).test(source) &&
          !new RegExp(`^(import|export const) .*\\b${name}\\b|^  ${name},$`, "m").test(source),
      )
      .map((name) => `import { ${name} } from "../${file}";\n`),
  );
  return source + missing.join("");
}

/** Defaults that only the type checker asks for: a shape has as many extents as its op says. */
function isNeverTaken({ name, text, changed }) {
  const at = [...text].findIndex((c, i) => c !== changed[i]);
  const isNumber = / to \d$/.test(name);
  return (
    isNumber &&
    (/^const \[.*\] = (\w+\.)?shape(\.slice\(-\d\))?;$/.test(text) ||
      /\b(shape|strides|extents)(\[[^\]]*\]|\.at\(-\d\)) \?\? $/.test(text.slice(0, at)))
  );
}

/**
 * Mutants of what makes launches. Asked are the ops that execute a shader which the file, or one that uses it, names.
 * @param {Record<string, string[]>} opsByFile
 */
export function bindingMutants(opsByFile) {
  const texts = textsIn(join(root, "packages", "backend-metal", "src"), /^(kernels|msl)\/.*\.ts$|^expr\.ts$/);
  const printed = ["gelu", "clamp", "with_epilogue", ...typicallyGenerated];
  return [...texts].flatMap(([file, text]) => {
    const users = usersOf(texts, file, (other, used) => new RegExp(`from "[./a-z]*/${basename(used).replace(".", "\\.")}"`).test(other));
    const shaders = users.flatMap((user) => [...(texts.get(user) ?? "").matchAll(/"([a-z_]+)"/g)].map(([, name]) => name));
    const ops = new Set(shaders.flatMap((name) => opsByFile[name] ?? []));
    if (users.includes("kernels/elementwise.ts")) for (const op of printed) ops.add(op);
    return mutantsOf(text, bindingMutations)
      .filter((mutant) => !/^(import|export (type|interface)|\/?\*|readonly )/.test(mutant.text) && !isNeverTaken(mutant))
      .map((mutant) => ({
        ...mutant,
        source: withImports(mutant.source),
        file: `packages/backend-metal/src/${file}`,
        // A scalar op's text is printed for the op of that name.
        ops: [...new Set([...ops, ...opsByFile.generated.filter((op) => op.split("_").includes(/^(\w+): /.exec(mutant.text)?.[1] ?? ""))])],
        tests: testsOf(file),
        whole: text,
      }));
  });
}

/** Ops that go through all of the host: plain ones, with weights, with scratch memory, with states, in several launches, with refusals. */
const opsOfHost = ["add", "with_epilogue", "kv_write", "gather", "state_write"];
/** Tests about the host, those that say most first. */
const testsOfHost = ["decode-limits", "replay", "windows", "memory", "barriers", "errors", "runs", "encode", "prepare", "lifetimes"];

/** Mutants of the host that replays programs, native code. */
export function hostMutants() {
  const texts = textsIn(join(root, "native", "metal"), /^\w+\.(cpp|mm)$/);
  return [...texts].flatMap(([file, text]) =>
    mutantsOf(text, [...mutations, ...furtherMutations])
      // Another version of the system is another machine.
      .filter((mutant) => !mutant.text.includes("@available"))
      .map((mutant) => ({
        ...mutant,
        file: `native/metal/${file}`,
        ops: opsOfHost,
        tests: testsOfHost.map((name) => `packages/backend-metal/test/${name}`),
        whole: text,
      })),
  );
}
