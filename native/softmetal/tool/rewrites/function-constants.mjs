// `constant uint DIM [[function_constant(0)]];` becomes a variable that the runtime sets before each dispatch, and a flag that says whether it is defined.
// Program-scope constants computed from it lose their initialiser and are assigned in msl_derive().

/** @typedef {{ name: string, type: string, index: string }} FunctionConstant */
/** @typedef {{ name: string, expression: string }} DerivedConstant */

const qualifiers = new Set(["constant", "const", "static", "constexpr", "inline"]);

/** @param {import("../source.mjs").Source} source */
export function functionConstants(source) {
  /** @type {FunctionConstant[]} */
  const constants = [];
  /** @type {DerivedConstant[]} */
  const derived = [];
  const known = new Set();
  /** @param {number} start @param {number} name @param {string} declaration what stands instead of the qualifiers */
  const declare = (start, name, declaration) => {
    const words = [];
    for (let i = start; i < name; i++) if (qualifiers.has(source.at(i))) words.push(i);
    words.forEach((i, k) => {
      source.replaceToken(i, k === 0 ? declaration : "");
    });
    known.add(source.at(name));
  };
  source.tokens.forEach(({ text }, i) => {
    if (text !== "constant" || source.inBody[i] || source.parentheses[i] > 0 || source.classOf[i] !== undefined) return;
    const start = source.statementStart(i);
    let stop = i;
    while (!["=", "(", "{", ";", ""].includes(source.at(stop))) stop = Math.max(stop, source.skip(stop)) + 1;
    const index = source.attributesOf([start, stop]).find(({ name }) => name === "function_constant")?.value;
    if (index !== undefined) {
      const name = stop - 1;
      const words = source.tokens.slice(i + 1, name).map((token) => token.text);
      constants.push({ name: source.at(name), type: words.filter((word) => !qualifiers.has(word)).join(" "), index });
      declare(start, name, `static __global bool msl_defined_${source.at(name)}; static __global`);
    } else if (source.at(stop) === "=") {
      const end = source.statementEnd(stop);
      if (![...known].some((name) => source.has([stop, end], name))) return;
      derived.push({ name: source.at(stop - 1), expression: source.slice(stop + 1, end) });
      declare(start, stop - 1, "static __global");
      source.replaceTokens(stop, end, "");
    }
  });
  return { constants, derived };
}
