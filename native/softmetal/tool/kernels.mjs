// Reads the kernels of a source: `kernel void f(...)`, `[[kernel]] void f(...)`, templates of both, and their explicit instantiations with [[host_name("...")]].
import { addressSpaces } from "./source.mjs";

/** @typedef {import("./source.mjs").Source} Source */
/** @typedef {import("./source.mjs").Range} Range */
/**
 * @typedef {{ kind: "buffer" | "threadgroup" | "position" | "number", index: string, builtin: string, access: "none" | "constant" | "read" | "write",
 *   guard: string | undefined }} Argument
 * `index`: the text in buffer(...); `builtin`: the field of msl_context; `guard`: the function constant that switches the argument on
 */
/** @typedef {{ name: string, template: boolean, host: string | undefined, arguments: Argument[], maxThreads: string, at: number }} Kernel */
/** `expression` names the function, as in `f<half, 64>`. @typedef {{ name: string, expression: string, kernel: Kernel }} EntryPoint */

const positions = new Set([
  "thread_position_in_grid",
  "thread_position_in_threadgroup",
  "threadgroup_position_in_grid",
  "threads_per_threadgroup",
  "threads_per_grid",
  "threadgroups_per_grid",
]);
const numbers = new Set([
  "thread_index_in_threadgroup",
  "thread_index_in_simdgroup",
  "simdgroup_index_in_threadgroup",
  "threads_per_simdgroup",
  "simdgroups_per_threadgroup",
  "thread_index_in_quadgroup",
  "quadgroup_index_in_threadgroup",
  "quadgroups_per_threadgroup",
]);
const synonyms = new Map([
  ["thread_execution_width", "threads_per_simdgroup"],
  ["dispatch_threads_per_threadgroup", "threads_per_threadgroup"],
  ["dispatch_simdgroups_per_threadgroup", "simdgroups_per_threadgroup"],
]);

/** @param {Source} source @param {Range} range @returns {Argument | undefined} undefined: no attribute says what it is */
function readArgument(source, range) {
  const attributes = source.attributesOf(range);
  const guard = attributes.find(({ name }) => name === "function_constant")?.value;
  const space = [...addressSpaces].find((name) => source.has(range, name));
  const readOnly = space === "constant" || source.has(range, "const");
  for (const { name: given, value } of attributes) {
    const name = synonyms.get(given) ?? given;
    const base = { index: "0", builtin: name, access: /** @type {const} */ ("none"), guard };
    if (positions.has(name)) return { ...base, kind: "position" };
    if (numbers.has(name)) return { ...base, kind: "number" };
    if (name === "threadgroup") return { ...base, kind: "threadgroup", index: value };
    if (name === "buffer") {
      return { ...base, kind: "buffer", index: value, access: space === "constant" ? "constant" : readOnly ? "read" : "write" };
    }
  }
  return undefined;
}

/** @param {Source} source @param {Kernel} kernel */
function checkBindings(source, kernel) {
  /** @type {Map<string, Argument>} */
  const seen = new Map();
  for (const argument of kernel.arguments) {
    if (argument.kind !== "buffer" && argument.kind !== "threadgroup") continue;
    const key = `${argument.kind}(${argument.index})`;
    if (Number(argument.index) > 30) source.error(kernel.at, `kernel ${kernel.name}: ${key} is beyond the last index, 30`);
    // Two arguments may share an index when function constants choose between them.
    if (seen.has(key) && (argument.guard === undefined || seen.get(key)?.guard === undefined)) {
      source.error(kernel.at, `kernel ${kernel.name}: ${key} is declared twice`);
    }
    seen.set(key, argument);
  }
}

/** Positions and sizes of a kernel are all numbers, all pairs or all triples. @param {Source} source @param {string} kernel @param {Range[]} parameters */
function checkPositions(source, kernel, parameters) {
  /** @type {{ name: string, components: string } | undefined} */
  let first;
  for (const range of parameters) {
    const position = source.attributesOf(range).find(({ name }) => positions.has(synonyms.get(name) ?? name));
    const type = source.tokens.slice(...range).find(({ text }) => /^u(int|short)[23]?$/.test(text))?.text;
    if (position === undefined || type === undefined) continue;
    const components = type.replace(/\D/g, "");
    first ??= { name: position.name, components };
    if (components !== first.components)
      source.error(range[0], `kernel ${kernel}: ${first.name} and ${position.name} have different numbers of components`);
  }
}

/** Steps back over a template argument list that ends at `i`: the index in front of it. @param {Source} source @param {number} i */
function beforeTemplateArguments(source, i) {
  if (source.at(i) !== ">") return i;
  let depth = 0;
  for (let j = i; j >= 0; j--) {
    if (source.at(j) === ")") j = source.partner[j];
    else if (source.at(j) === ">") depth++;
    else if (source.at(j) === "<" && --depth === 0) return j - 1;
  }
  return i;
}

/** @param {Source} source @returns {EntryPoint[]} */
export function readKernels(source) {
  /** @type {Map<string, Kernel>} */
  const kernels = new Map();
  /** @type {{ name: string, expression: string, host: string | undefined, at: number }[]} */
  const instantiations = [];
  const markers = source.tokens.flatMap(({ text, kind }, i) => (kind === "name" && text === "kernel" && !source.inBody[i] ? [i] : []));
  const attributed = source.attributes.filter(({ name }) => name === "kernel").map(({ before }) => before);
  for (const at of new Set([...markers, ...attributed])) {
    const start = source.statementStart(at);
    let open = at;
    while (open < source.tokens.length && source.at(open) !== "(" && source.at(open) !== ";") {
      if (source.at(open) === "decltype") open = source.partner[open + 1] + 1;
      else open = source.skip(open) + 1;
    }
    const name = beforeTemplateArguments(source, open - 1);
    const header = source.attributesOf([start, open]);
    const host = header.find((attribute) => attribute.name === "host_name")?.value;
    if (source.at(start) === "template" && source.at(start + 1) !== "<") {
      instantiations.push({ name: source.at(name), expression: source.slice(name, open), host, at });
      continue;
    }
    if (source.at(open) !== "(" || source.tokens[name]?.kind !== "name") continue;
    if (!source.has([at, name], "void")) source.error(name, `kernel ${source.at(name)} must return void`);
    const parameters = source.parts(open).filter((range) => !(range[1] - range[0] === 1 && source.at(range[0]) === "void"));
    const found = parameters.map((range) => {
      const argument = readArgument(source, range);
      if (argument === undefined)
        source.error(range[0], `kernel ${source.at(name)}: argument '${source.slice(...range)}' has no attribute`);
      return argument;
    });
    checkPositions(source, source.at(name), parameters);
    const kernel = {
      name: source.at(name),
      template: source.at(start) === "template",
      host,
      arguments: found.filter((argument) => argument !== undefined),
      maxThreads: header.find((attribute) => attribute.name === "max_total_threads_per_threadgroup")?.value ?? "1024",
      at: name,
    };
    checkBindings(source, kernel);
    kernels.set(kernel.name, kernel);
  }
  const plain = [...kernels.values()].filter(({ template }) => !template);
  /** @type {EntryPoint[]} */
  const entries = plain.map((kernel) => ({ name: kernel.host ?? kernel.name, expression: kernel.name, kernel }));
  for (const { name, expression, host, at } of instantiations) {
    const kernel = kernels.get(name);
    if (kernel === undefined) source.error(at, `instantiation of '${name}', which is no kernel template`);
    else entries.push({ name: host ?? expression.replace(/\s/g, ""), expression, kernel });
  }
  return entries;
}
