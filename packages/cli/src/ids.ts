import { readFile } from "node:fs/promises";
import { InputError } from "./errors.ts";

/** Token ids of a text file, separated by white space or commas. */
export async function readIds(path: string): Promise<number[]> {
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new InputError(`${path}: expected a file of token ids, got ${error.message}`);
  });
  const lines = text.split("\n");
  const ids = lines.flatMap((line, i) =>
    line
      .split(/[\s,]+/)
      .filter((word) => word !== "")
      .map((word) => {
        const id = Number(word);
        if (/^\d+$/.test(word) && Number.isSafeInteger(id)) return id;
        throw new InputError(`${path}:${i + 1}: expected a token id, got ${JSON.stringify(word.slice(0, 40))}`);
      }),
  );
  if (ids.length === 0) throw new InputError(`${path}: expected at least one token id, got none`);
  return ids;
}
