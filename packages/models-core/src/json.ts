import { ModelFileError, quote } from "./errors.ts";
import { type ByteSource, type Directory, readText } from "./source.ts";

/** Configuration and tokenizer files: the largest real ones are tens of megabytes. */
const maxJsonBytes = 256 * 2 ** 20;

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Parse JSON. A key that occurs twice in one object is an error: readers disagree about which one counts. */
export function parseJson(file: string, text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelFileError({ file, expected: "JSON", given: error instanceof Error ? error.message.slice(0, 200) : "other text" });
  }
  const repeated = findRepeatedKey(text);
  if (repeated !== undefined) throw new ModelFileError({ file, tensor: repeated, expected: "each key once", given: "the key twice" });
  return value;
}

/** The first key that repeats inside its object. `text` is valid JSON. */
function findRepeatedKey(text: string): string | undefined {
  // One entry per open bracket: the keys so far, or null inside an array.
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "{") open.push(new Set());
    else if (c === "[") open.push(null);
    else if (c === "}" || c === "]") open.pop();
    else if (c === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      const keys = open[open.length - 1];
      if (!keys || !isKey(text, i + 1)) continue;
      const key = JSON.parse(text.slice(start, i + 1));
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
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
