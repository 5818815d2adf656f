// `a ? b : c` becomes `a ? msl_value(b) : msl_value(c)`: C++ for OpenCL cannot unify class types (vectors) of two address spaces, as in
// `inside ? buffer[i] : float4(0)`.

/** @typedef {import("../source.mjs").Source} Source */

/** The `:` of the `?` at `question`, or -1. @param {Source} source @param {number} question */
function colonOf(source, question) {
  let nested = 0;
  for (let i = question + 1; i < source.tokens.length; i++) {
    const text = source.at(i);
    if ("([{".includes(text)) i = source.partner[i];
    else if (text === "?") nested++;
    else if (text === ":" && nested-- === 0) return i;
    else if ([";", ")", "}"].includes(text)) return -1;
  }
  return -1;
}

/** The token that ends the second arm. @param {Source} source @param {number} colon */
function armEnd(source, colon) {
  let nested = 0;
  for (let i = colon + 1; i < source.tokens.length; i++) {
    const text = source.at(i);
    if ("([{".includes(text)) i = source.partner[i];
    else if (text === "?") nested++;
    else if (text === ":" && nested-- === 0) return i;
    else if ([",", ";", ")", "]", "}"].includes(text)) return i;
  }
  return source.tokens.length;
}

/** Tokens inside of template arguments, where the operator is about types' constants. @param {Source} source */
function templateArguments(source) {
  const inside = new Set();
  source.tokens.forEach((_, i) => {
    if (source.at(i) !== "<" || source.tokens[i - 1]?.kind !== "name") return;
    const end = source.angle(i);
    for (let j = i; j < end; j++) inside.add(j);
  });
  return inside;
}

/** @param {Source} source */
export function conditionalOperator(source) {
  const skipped = templateArguments(source);
  source.tokens.forEach(({ text }, question) => {
    if (text !== "?" || skipped.has(question) || source.isReplaced(question)) return;
    const colon = colonOf(source, question);
    if (colon < 0) return;
    source.insertAfter(question, " msl_value(");
    source.insertBefore(colon, ")");
    source.insertAfter(colon, " msl_value(");
    source.insertAfter(armEnd(source, colon) - 1, ")");
  });
}
