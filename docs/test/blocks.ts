import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * Every `ts` block of README.md and docs/ is a whole module: it stands alone, is type-checked, and runs in the repository's root. What
 * follows `// => ` is what its line prints. In `console` blocks, lines that begin with `$ ` are commands. `ts file=PATH` and
 * `ts line=PATH` blocks are changes to the repository; their page has a test of its own. `sh` blocks are for people to type.
 */
export interface Block {
  readonly page: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language. */
  readonly info: string;
  readonly code: string;
}

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

const pages = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

export const blocks: readonly Block[] = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language = "", 2: info = "", 3: code = "" }) => ({
    page,
    line: text.slice(0, index).split("\n").length,
    language,
    info,
    code,
  }));
});
