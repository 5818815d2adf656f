// `[[buffer(0), function_constant(USE_MASK)]]`: read, and taken out of the token list, so that no later pass has to step over attributes.
import { lex, matchBrackets } from "./lexer.mjs";

/** @typedef {import("./lexer.mjs").Token} Token */
/** `before`: index of the token that follows it once attributes are gone. @typedef {{ name: string, value: string, before: number }} Attribute */

/** Concatenates adjacent string literals; other text stays. @param {string} text */
function unquote(text) {
  const parts = text.match(/"(?:\\.|[^"\\])*"/g);
  return parts === null ? text.trim() : parts.map((part) => JSON.parse(part)).join("");
}

/**
 * @param {string} text
 * @returns {{ tokens: Token[], attributes: Attribute[], places: { start: number, end: number }[] }} the tokens that are left, what the attributes said, where
 *   they stood
 */
export function readAttributes(text) {
  const all = lex(text);
  const partner = matchBrackets(all);
  /** @type {Token[]} */
  const tokens = [];
  /** @type {Attribute[]} */
  const attributes = [];
  const places = [];
  for (let i = 0; i < all.length; i++) {
    const inner = i + 1;
    const opens = all[i].text === "[" && all[inner]?.text === "[" && all[i].end === all[inner].start;
    if (!opens || partner[i] < 0 || partner[inner] !== partner[i] - 1) {
      tokens.push(all[i]);
      continue;
    }
    for (let j = inner + 1; j < partner[inner]; j++) {
      const arguments_ = all[j + 1].text === "(" ? partner[j + 1] : -1;
      const value = arguments_ < 0 ? "" : unquote(text.slice(all[j + 1].end, all[arguments_].start));
      if (all[j].kind === "name") attributes.push({ name: all[j].text, value, before: tokens.length });
      if (arguments_ >= 0) j = arguments_;
    }
    places.push({ start: all[i].start, end: all[partner[i]].end });
    i = partner[i];
  }
  return { tokens, attributes, places };
}
