import { ModelFileError, quote } from "./errors.ts";
import { type ByteSource, type Directory, readText } from "./source.ts";

/** Configuration and tokenizer files: the largest real ones are tens of megabytes. */
const maxJsonBytes = 256 * 2 ** 20;

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Deeper than any configuration, and shallow enough for code that recurses over the value. */
const maxDepth = 100;

/** Parse JSON. A key that occurs twice in one object is an error: readers disagree about which one counts. */
export function parseJson(file: string, text: string): Json {
  checkStructure(file, text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(file, error);
  }
}

const notJson = (file: string, error: unknown): ModelFileError =>
  new ModelFileError({ file, expected: "JSON", given: error instanceof Error ? error.message.slice(0, 200) : "other text" });

/** Depth and repeated keys, before anything is built. Text that is not JSON is left to the parser. */
function checkStructure(file: string, text: string): void {
  // One entry per open bracket: the keys so far, or null inside an array.
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === braceOpen || c === bracketOpen) {
      open.push(c === braceOpen ? new Set() : null);
      if (open.length > maxDepth) throw new ModelFileError({ file, expected: `JSON at most ${maxDepth} deep`, given: "deeper" });
    } else if (c === braceClose || c === bracketClose) open.pop();
    else if (c === quotes) {
      const start = i++;
      while (i < text.length && text.charCodeAt(i) !== quotes) i += text.charCodeAt(i) === backslash ? 2 : 1;
      const keys = open[open.length - 1];
      if (!keys || !isKey(text, i + 1)) continue;
      const key = stringOf(file, text.slice(start, i + 1));
      if (keys.has(key)) throw new ModelFileError({ file, tensor: key, expected: "each key once", given: "the key twice" });
      keys.add(key);
    }
  }
}
const [braceOpen, braceClose, bracketOpen, bracketClose, quotes, backslash] = [0x7b, 0x7d, 0x5b, 0x5d, 0x22, 0x5c];

function stringOf(file: string, literal: string): string {
  try {
    return JSON.parse(literal);
  } catch (error) {
    throw notJson(file, error);
  }
}

function isKey(text: string, at: number): boolean {
  let i = at;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}

export async function readJson(source: ByteSource): Promise<JsonObject> {
  const value = parseJson(source.name, await readText(source, maxJsonBytes));
  if (!isObject(value)) throw new ModelFileError({ file: source.name, expected: "a JSON object", given: quote(JSON.stringify(value)) });
  return value;
}

/** A JSON file of a directory, undefined when it is not there. */
export async function readJsonFile(directory: Directory, file: string): Promise<JsonObject | undefined> {
  using source = await directory.open(file);
  return source && (await readJson(source));
}
