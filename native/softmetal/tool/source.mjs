// A preprocessed Metal source while it is being rewritten: its tokens, their structure, and the edits so far. No edit adds or removes a line.
import { readAttributes } from "./attributes.mjs";
import { matchBrackets } from "./lexer.mjs";

export const addressSpaces = new Set(["device", "constant", "threadgroup", "thread"]);

/** @typedef {import("./lexer.mjs").Token} Token */
/** @typedef {import("./attributes.mjs").Attribute} Attribute */
/** A half-open range of tokens. @typedef {[from: number, to: number]} Range */

export class Source {
  /** @param {string} text preprocessed */
  constructor(text) {
    const { tokens, attributes, places } = readAttributes(text);
    this.text = text;
    this.tokens = tokens;
    this.attributes = attributes;
    this.partner = matchBrackets(tokens);
    /** @type {{ start: number, end: number, text: string }[]} */
    this.edits = [];
    /** Problems that clang would not report. @type {{ offset: number, message: string }[]} */
    this.errors = [];
    for (const { start, end } of places) this.replace(start, end, "");
    /** Whether a token stands in a function body. @type {boolean[]} */
    this.inBody = [];
    /** How many parentheses are open at a token. @type {number[]} */
    this.parentheses = [];
    /** The class whose member list a token stands in directly. @type {(string | undefined)[]} */
    this.classOf = [];
    this.#findScopes();
  }

  #findScopes() {
    /** @type {{ body: boolean, name: string | undefined }[]} */
    const open = [];
    let depth = 0;
    for (let i = 0; i < this.tokens.length; i++) {
      const text = this.at(i);
      if (text === "{") open.push({ body: open.at(-1)?.body === true || this.#opensBody(i), name: this.#className(i) });
      if (text === "(") depth++;
      this.parentheses[i] = depth;
      this.inBody[i] = open.at(-1)?.body === true;
      this.classOf[i] = open.at(-1)?.name;
      if (text === ")") depth--;
      if (text === "}") open.pop();
    }
  }

  /** @param {number} brace */
  #opensBody(brace) {
    let i = brace - 1;
    while (addressSpaces.has(this.at(i)) || ["const", "noexcept", "mutable"].includes(this.at(i))) i--;
    if (this.at(i) === ")") return true;
    // A constructor's initialisers, `X() : a{1}, b(2) {`, end in a bracket too, but `namespace a {` and `struct A : B {` do not.
    return this.at(i) === "}" && this.at(brace - 1) === "}";
  }

  /** The name of the class that the brace opens, if it opens one. @param {number} brace */
  #className(brace) {
    let i = this.statementStart(brace);
    if (this.at(i) === "template") i = this.angle(i + 1) + 1;
    while (["typedef", "constant", "constexpr", "static", "const"].includes(this.at(i))) i++;
    if (!["struct", "class", "union"].includes(this.at(i))) return undefined;
    for (let j = i; j < brace; j++) if (this.at(j) === "=" || (this.at(j) === "(" && this.at(j - 1) !== "alignas")) return undefined;
    let name = i + 1;
    if (this.at(name) === "alignas") name = this.partner[name + 1] + 1;
    return this.tokens[name].kind === "name" ? this.at(name) : "(unnamed)";
  }

  /** The text of a token, "" outside of the source. @param {number} i @returns {string} */
  at(i) {
    return this.tokens[i]?.text ?? "";
  }

  /** The source of a range of tokens, without attributes. @param {number} from @param {number} to */
  slice(from, to) {
    return this.tokens
      .slice(from, to)
      .map(({ text }) => text)
      .join(" ");
  }

  /** @param {Range} range @param {string} text */
  has([from, to], text) {
    for (let i = from; i < to; i++) if (this.at(i) === text) return true;
    return false;
  }

  /** The `>` that closes the template list opened at `open`, or -1. @param {number} open */
  angle(open) {
    if (this.at(open) !== "<") return -1;
    let depth = 0;
    for (let i = open; i < this.tokens.length; i++) {
      const text = this.at(i);
      if (text === "<") depth++;
      else if (text === ">" && --depth === 0) return i;
      else if ("([{".includes(text) && this.partner[i] > i) i = this.partner[i];
      else if (text === ";" || text === "}") return -1;
    }
    return -1;
  }

  /** The bracket or template list that starts at `i` is stepped over: the index of its end, else `i`. @param {number} i */
  skip(i) {
    if ("([{".includes(this.at(i)) && this.partner[i] > i) return this.partner[i];
    return this.at(i) === "<" ? Math.max(i, this.angle(i)) : i;
  }

  /** The first token of the statement or declaration that `i` belongs to. @param {number} i */
  statementStart(i) {
    let j = i - 1;
    while (j >= 0 && ![";", "{", "}"].includes(this.at(j))) j--;
    return j + 1;
  }

  /** The `;` that ends the declaration in which `i` stands. @param {number} i */
  statementEnd(i) {
    let j = i;
    while (j < this.tokens.length && this.at(j) !== ";") j = Math.max(j, "([{".includes(this.at(j)) ? this.partner[j] : j) + 1;
    return j;
  }

  /** The comma-separated parts of the list between a bracket and its partner. @param {number} open @returns {Range[]} */
  parts(open) {
    const close = this.partner[open];
    /** @type {Range[]} */
    const parts = [];
    let from = open + 1;
    for (let i = open + 1; i <= close; i++) {
      const end = this.skip(i);
      if (i < close && end > i && end < close) i = end;
      else if (this.at(i) === "," || i === close) {
        if (i > from) parts.push([from, i]);
        from = i + 1;
      }
    }
    return parts;
  }

  /** The attributes written in front of or behind the tokens of a range. @param {Range} range */
  attributesOf([from, to]) {
    return this.attributes.filter(({ before }) => before >= from && before <= to);
  }

  /** Replaces characters; lines inside stay. @param {number} start @param {number} end @param {string} text */
  replace(start, end, text) {
    this.edits.push({ start, end, text: text + this.text.slice(start, end).replace(/[^\n]/g, "") });
  }

  /** @param {number} i @param {string} text */
  replaceToken(i, text) {
    this.replace(this.tokens[i].start, this.tokens[i].end, text);
  }

  /** @param {number} from @param {number} to @param {string} text */
  replaceTokens(from, to, text) {
    this.replace(this.tokens[from].start, this.tokens[to - 1].end, text);
  }

  /** @param {number} i @param {string} text */
  insertBefore(i, text) {
    this.replace(this.tokens[i].start, this.tokens[i].start, text);
  }

  /** @param {number} i @param {string} text */
  insertAfter(i, text) {
    this.replace(this.tokens[i].end, this.tokens[i].end, text);
  }

  /** Whether an edit already replaces this token. @param {number} i */
  isReplaced(i) {
    return this.edits.some(({ start, end }) => start < end && start <= this.tokens[i].start && this.tokens[i].start < end);
  }

  /** @param {number} i @param {string} message */
  error(i, message) {
    this.errors.push({ offset: this.tokens[i].start, message });
  }

  /** The rewritten text, and for each of its offsets the offset in `text` that it came from. */
  render() {
    // Stable: insertions at one place stay in their order. An edit inside of another one's range is dropped.
    const edits = [...this.edits].sort((a, b) => a.start - b.start);
    let out = "";
    let position = 0;
    /** @type {{ out: number, original: number }[]} */
    const map = [];
    for (const { start, end, text } of edits) {
      if (start < position) continue;
      map.push({ out: out.length, original: position });
      out += this.text.slice(position, start);
      map.push({ out: out.length, original: start });
      out += text;
      position = end;
    }
    map.push({ out: out.length, original: position });
    return { text: out + this.text.slice(position), map };
  }
}
