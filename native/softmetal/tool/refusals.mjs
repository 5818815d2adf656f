// What Apple's compiler refuses and clang in C++-for-OpenCL mode lets pass.
import { bfloatVersion } from "./flags.mjs";
import { addressSpaces } from "./source.mjs";

/** @typedef {import("./source.mjs").Source} Source */

const words = new Map([
  ["goto", "'goto' is not allowed in MSL"],
  ["virtual", "virtual functions are not allowed in MSL"],
  ["dynamic_cast", "'dynamic_cast' is not allowed in MSL"],
  ["typeid", "'typeid' is not allowed in MSL"],
]);

/** @param {Source} source */
function forbiddenWords(source) {
  source.tokens.forEach(({ text, kind }, i) => {
    const message = words.get(text);
    if (message !== undefined) source.error(i, message);
    const local = text === "static" && source.inBody[i] && source.classOf[i] === undefined;
    if (local && !["constexpr", "constant", "const"].includes(source.at(i + 1)))
      source.error(i, "a variable in a function cannot be static");
    if (kind === "number" && /^[\d.]*[.e][\d.e+-]*l$/i.test(text)) source.error(i, "'long double' is not supported in MSL");
  });
}

/** Whether the parameter list at `open` belongs to the declaration of a function. @param {Source} source @param {number} open */
function declaresFunction(source, open) {
  if (source.inBody[open] || source.parentheses[open] !== 1 || source.partner[open] < 0) return false;
  if (source.tokens[open - 1]?.kind !== "name" && source.at(open - 1) !== ">") return false;
  if (["decltype", "alignas", "sizeof", "static_assert", "__attribute__"].includes(source.at(open - 1))) return false;
  const start = source.statementStart(open);
  if (source.has([start, open], "=") || source.has([start, open], "using")) return false;
  let after = source.partner[open] + 1;
  while (["const", "noexcept"].includes(source.at(after)) || addressSpaces.has(source.at(after))) after++;
  return ["{", ";", ":"].includes(source.at(after));
}

/** @param {Source} source */
function pointersWithoutSpace(source) {
  source.tokens.forEach(({ text }, open) => {
    if (text !== "(" || !declaresFunction(source, open)) return;
    for (const [from, to] of source.parts(open)) {
      let end = from;
      while (end < to && !["=", "("].includes(source.at(end))) end++;
      /** @type {string[]} */
      const type = [];
      for (let i = from; i < end; i++) {
        type.push(source.at(i));
        i = Math.max(i, source.skip(i));
      }
      const refers = type.includes("*") || type.includes("&");
      if (refers && type.length > 1 && source.at(end) !== "(" && !type.some((word) => addressSpaces.has(word))) {
        source.error(from, `'${source.slice(from, to)}' needs an address space: device, constant, threadgroup or thread`);
      }
    }
  });
}

/** @param {Source} source */
function mutableGlobals(source) {
  const others = new Set([
    "constant",
    "constexpr",
    "typedef",
    "using",
    "template",
    "struct",
    "class",
    "union",
    "enum",
    "extern",
    "namespace",
  ]);
  for (let i = 0; i < source.tokens.length; i++) {
    if (source.inBody[i] || source.parentheses[i] > 0 || source.classOf[i] !== undefined) continue;
    if (source.at(i) !== "=" && source.at(i) !== ";") continue;
    const start = source.statementStart(i);
    const [first, last] = [start, i - 1];
    const plain = last > first && !source.has([start, i], "(") && !source.has([start, i], "=") && source.tokens[first].kind === "name";
    if (plain && ![...others].some((word) => source.has([start, i], word))) {
      source.error(first, "a variable at program scope must be 'constant'");
    }
  }
}

/** Calls between functions of the source by name; names with several definitions are left out, since overloads may call each other. @param {Source} source */
function callGraph(source) {
  /** @type {Map<string, { at: number, calls: Set<string> } | undefined>} */
  const functions = new Map();
  source.tokens.forEach(({ text }, open) => {
    if (text !== "(" || source.classOf[open] !== undefined || !declaresFunction(source, open)) return;
    const brace = source.partner[open] + 1;
    if (source.at(brace) !== "{" || source.tokens[open - 1].kind !== "name") return;
    const calls = new Set();
    for (let i = brace; i < source.partner[brace]; i++) if (source.at(i + 1) === "(") calls.add(source.at(i));
    const name = source.at(open - 1);
    functions.set(name, functions.has(name) ? undefined : { at: open - 1, calls });
  });
  return functions;
}

/** @param {Source} source */
function recursion(source) {
  const functions = callGraph(source);
  for (const [name, definition] of functions) {
    const reached = new Set(definition?.calls);
    for (const callee of reached) for (const next of functions.get(callee)?.calls ?? []) reached.add(next);
    if (definition !== undefined && reached.has(name))
      source.error(definition.at, `'${name}' calls itself: recursion is not allowed in MSL`);
  }
}

/** @param {Source} source @param {number} version */
function newerTypes(source, version) {
  if (version >= bfloatVersion) return;
  source.tokens.forEach(({ text, kind }, i) => {
    if (kind === "name" && text === "bfloat") source.error(i, "'bfloat' needs Metal 3.1");
  });
}

/** Adds to the source's errors. @param {Source} source @param {number} version of the language */
export function refuse(source, version) {
  newerTypes(source, version);
  forbiddenWords(source);
  pointersWithoutSpace(source);
  mutableGlobals(source);
  recursion(source);
}
