import { readFile } from "node:fs/promises";
import { InputError } from "./errors.ts";

/** Token ids of a text file, separated by white space or commas. */
export async function readIds(path: string): Promise<number[]> {
  const lines = (await readFile(path, "utf8")).split("\n");
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
