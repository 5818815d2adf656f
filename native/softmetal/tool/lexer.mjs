// Tokens of a preprocessed Metal source. Comments and line markers (`# 12 "file"`) are skipped: the text around them is never touched.

/** @typedef {{ text: string, kind: "string" | "number" | "name" | "mark", start: number, end: number }} Token */

const pattern = new RegExp(
  [
    /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)/,
    /(?<directive>^[ \t]*#[^\n]*)/,
    /(?<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')/,
    /(?<number>\.?\d(?:[eEpP][+-]|[\w.'])*)/,
    /(?<name>[A-Za-z_]\w*)/,
    // `>>` stays two marks, because it also closes two template argument lists.
    /(?<mark>::|->|<<=|>>=|<=|>=|==|!=|&&|\|\||<<|\+\+|--|[-+*/%&|^]=|\.\.\.|\S)/,
  ]
    .map((part) => part.source)
    .join("|"),
  "gm",
);

/** @param {string} text @returns {Token[]} */
export function lex(text) {
  /** @type {Token[]} */
  const tokens = [];
  for (const match of text.matchAll(pattern)) {
    const kind = /** @type {const} */ (["string", "number", "name", "mark"]).find((name) => match.groups?.[name] !== undefined);
    if (kind !== undefined) tokens.push({ text: match[0], kind, start: match.index, end: match.index + match[0].length });
  }
  return tokens;
}

const closing = new Map([
  ["(", ")"],
  ["[", "]"],
  ["{", "}"],
]);

/** For every bracket the index of its partner, -1 for other tokens and brackets without one. @param {Token[]} tokens */
export function matchBrackets(tokens) {
  const partner = new Array(tokens.length).fill(-1);
  /** @type {number[]} */
  const open = [];
  tokens.forEach(({ text, kind }, i) => {
    if (kind !== "mark") return;
    if (closing.has(text)) open.push(i);
    else if (text === ")" || text === "]" || text === "}") {
      const from = open.pop();
      if (from === undefined) return;
      partner[from] = i;
      partner[i] = from;
    }
  });
  return partner;
}
