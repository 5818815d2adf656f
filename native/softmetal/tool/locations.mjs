// Where a character of the preprocessed or rewritten source stands in the file that a person wrote.
import { readFileSync } from "node:fs";
import { lex } from "./lexer.mjs";

/** `line` and `column` count from 1. @typedef {{ file: string, line: number, column: number }} Place */

export class Locations {
  /** @param {string} text preprocessed source with line markers @param {Map<string, string>} [given] sources that are no files, by name */
  constructor(text, given = new Map()) {
    this.text = text;
    this.given = given;
    this.starts = [0];
    for (const { index } of text.matchAll(/\n/g)) this.starts.push(index + 1);
    /** File and line of each line of `text`. @type {{ file: string, line: number }[]} */
    this.origins = [];
    /** Line of `text` by "file:line". @type {Map<string, number>} */
    this.byOrigin = new Map();
    let file = "";
    let line = 0;
    text.split("\n").forEach((content, i) => {
      const marker = /^# (\d+) "([^"]*)"/.exec(content);
      this.origins.push({ file, line });
      if (marker) [file, line] = [marker[2], Number(marker[1])];
      else this.byOrigin.set(`${file}:${line++}`, i);
    });
  }

  /** @param {number} offset in `text` @returns {Place} */
  placeOf(offset) {
    let row = this.starts.findIndex((start) => start > offset) - 1;
    if (row < 0) row = this.starts.length - 1;
    const { file, line } = this.origins[row];
    const end = this.starts[row + 1] ?? this.text.length + 1;
    const column = originalColumn(this.text.slice(this.starts[row], end - 1), offset - this.starts[row], this.lineOf(file, line));
    return { file, line, column: column + 1 };
  }

  /** A line as it was written; "" if it is not to be found. @param {string} file @param {number} line */
  lineOf(file, line) {
    let content = this.given.get(file);
    if (content === undefined) {
      try {
        content = readFileSync(file, "utf8");
      } catch {
        content = "";
      }
      this.given.set(file, content);
    }
    return content.split("\n")[line - 1] ?? "";
  }
}

/**
 * The preprocessor changes the spaces between tokens and expands macros: up to the first expanded macro the columns are exact, behind it they are those of the
 * macro's name. Columns count from 0.
 * @param {string} processed @param {number} column @param {string} original
 */
export function originalColumn(processed, column, original) {
  const from = lex(processed);
  const to = lex(original);
  let i = 0;
  while (i < from.length && i < to.length && from[i].text === to[i].text && from[i].end <= column) i++;
  if (i >= to.length) return to.at(-1)?.end ?? 0;
  const same = from[i]?.text === to[i].text;
  return to[i].start + (same ? Math.max(0, column - from[i].start) : 0);
}

/**
 * The offset in the preprocessed text that an offset in the rewritten one came from.
 * @param {{ out: number, original: number }[]} map @param {number} offset
 */
export function originalOffset(map, offset) {
  const i = map.findLastIndex(({ out }) => out <= offset);
  if (i < 0) return offset;
  // Inside of inserted text: the place where it was inserted.
  return Math.min(map[i].original + offset - map[i].out, map[i + 1]?.original ?? Number.POSITIVE_INFINITY);
}
