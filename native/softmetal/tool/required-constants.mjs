// Which function constants a kernel cannot do without: those that it or anything it uses names, unless the source asks whether they are defined.

/** @typedef {import("./source.mjs").Source} Source */
/** @typedef {import("./kernels.mjs").EntryPoint} EntryPoint */
/** @typedef {import("./rewrites/function-constants.mjs").FunctionConstant} FunctionConstant */

const namespaceOpeners = new Set(["namespace", "extern"]);

/** The declarations at program scope, as ranges of tokens. @param {Source} source @returns {import("./source.mjs").Range[]} */
function declarations(source) {
  /** @type {import("./source.mjs").Range[]} */
  const all = [];
  let start = 0;
  for (let i = 0; i < source.tokens.length; i++) {
    const text = source.at(i);
    if (text === "{" && namespaceOpeners.has(source.at(start))) start = i + 1;
    else if ("([{".includes(text) && source.partner[i] > i) {
      const end = source.partner[i];
      // A function ends with its body; a class or a variable with a semicolon.
      const ends = text === "{" && source.at(end + 1) !== ";" && source.inBody[i + 1];
      i = end;
      if (!ends) continue;
      all.push([start, end + 1]);
      start = end + 1;
    } else if (text === ";" || text === "}") {
      if (i > start) all.push([start, i]);
      start = i + 1;
    }
  }
  return all;
}

/** The names that a declaration may define: in front of a parameter list, a body, a value or its end. @param {Source} source
 * @param {import("./source.mjs").Range} range */
function defined(source, [from, to]) {
  const stops = new Set(["(", "{", "=", "[", ":", ";", ""]);
  const names = [];
  for (let i = from; i < to && (i === from || !["{", "="].includes(source.at(i - 1))); i++) {
    const next = i + 1 < to ? source.at(i + 1) : "";
    if (source.tokens[i].kind === "name" && stops.has(next)) names.push(source.at(i));
    if (source.at(i) === "(") i = source.partner[i];
  }
  return names;
}

/**
 * Call before the source is rewritten. Names are not resolved: functions of one name count as one.
 * @param {Source} source
 * @returns {(entry: EntryPoint, constants: FunctionConstant[]) => FunctionConstant[]}
 */
export function requiredConstants(source) {
  /** @type {Map<string, Set<string>>} */
  const uses = new Map();
  for (const range of declarations(source)) {
    const used = source.tokens.slice(...range).flatMap(({ kind, text }) => (kind === "name" ? [text] : []));
    for (const name of defined(source, range)) {
      const known = uses.get(name) ?? new Set();
      for (const each of used) known.add(each);
      uses.set(name, known);
    }
  }
  const asked = new Set(source.tokens.flatMap(({ text }, i) => (text === "is_function_constant_defined" ? [source.at(i + 2)] : [])));
  return (entry, constants) => {
    const reached = new Set([entry.kernel.name, ...entry.kernel.arguments.flatMap(({ guard }) => guard ?? [])]);
    for (const name of reached) for (const next of uses.get(name) ?? []) reached.add(next);
    return constants.filter(({ name }) => reached.has(name) && !asked.has(name));
  };
}
