// One-token changes of Metal source, for mutation tests.

/** @typedef {{ name: string, pattern: RegExp, replacement: string }} Mutation */
/**
 * A changed text: what was changed, in which line, and that line as it was and as it is now.
 * @typedef {{ name: string, line: number, source: string, text: string, changed: string }} Mutant
 */

/** @type {Mutation[]} */
export const mutations = [
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

/** For larger programs. @type {Mutation[]} */
export const furtherMutations = [
  { name: "<= to <", pattern: / <= /g, replacement: " < " },
  { name: "== to !=", pattern: / == /g, replacement: " != " },
  { name: "!= to ==", pattern: / != /g, replacement: " == " },
  { name: "|| to &&", pattern: / \|\| /g, replacement: " && " },
  { name: "& to |", pattern: / & /g, replacement: " | " },
  { name: "| to &", pattern: / \| /g, replacement: " & " },
  { name: "<< to >>", pattern: / << /g, replacement: " >> " },
  { name: ">> to <<", pattern: / >> /g, replacement: " << " },
  { name: "+= to -=", pattern: / \+= /g, replacement: " -= " },
  { name: "*= to +=", pattern: / \*= /g, replacement: " += " },
  { name: "1 to 2", pattern: /\b1\b(?!\)\])/g, replacement: "2" },
  { name: "min to max", pattern: /\b(simd_)?min\(/g, replacement: "$1max(" },
  { name: "early end dropped", pattern: /\b(return|continue|break);/g, replacement: ";" },
];

/**
 * Each mutant of a text, outside of comments, includes and template declarations.
 * @param {string} text @param {Mutation[]} of @returns {Mutant[]}
 */
export function mutantsOf(text, of) {
  return of.flatMap(({ name, pattern, replacement }) =>
    [...text.matchAll(pattern)].flatMap((match) => {
      const line = text.slice(0, match.index).split("\n").length;
      const start = text.lastIndexOf("\n", match.index) + 1;
      if (/^\s*(#include|template|\/\/)|\/\//.test(text.slice(start, match.index + 1))) return [];
      const put = match[0].replace(new RegExp(pattern.source), replacement);
      const source = text.slice(0, match.index) + put + text.slice(match.index + match[0].length);
      const at = (/** @type {string} */ of) => (of.split("\n")[line - 1] ?? "").trim();
      return [{ name, line, source, text: at(text), changed: at(source) }];
    }),
  );
}
