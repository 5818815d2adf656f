// Compiles for another process: requests come as lines of JSON, answers go back as they are ready. Ends with its input.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { defaultCache, hash, toolVersion } from "./cache.mjs";
import { compile } from "./compile.mjs";

/** @typedef {{ id: number, name: string, source: string, check: boolean, define: string[], version: number,
 *   architecture: import("./flags.mjs").Architecture }} Request */

/** Sources that read no other file have the same library whenever their text and the options are the same. @param {string} source */
const standsAlone = (source) => !/#\s*include\s*"/.test(source);

let running = 0;
/** @type {(() => void)[]} */
const waiting = [];
/** As many compilers at once as there are processors: a program may ask for dozens of libraries. @template T @param {() => Promise<T>} work */
async function inTurn(work) {
  while (running >= availableParallelism()) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/**
 * The library of a source; one that was compiled before costs no run of the preprocessor.
 * @param {Request} request @param {string} cache @param {string} [optimize]
 */
export async function compileText({ name, source, check, define, architecture, version }, cache, optimize) {
  const record = join(
    cache,
    toolVersion,
    "sources",
    hash(name, source, String(check), architecture, String(version), optimize ?? "", ...define),
  );
  if (existsSync(record)) {
    const library = readFileSync(record, "utf8");
    if (existsSync(library)) return { library, log: "" };
  }
  const { library, log } = await inTurn(() => compile(name, { source, check, define, architecture, version, cache, optimize }));
  if (library !== undefined && log === "" && standsAlone(source)) {
    mkdirSync(dirname(record), { recursive: true });
    const temporary = `${record}.${process.pid}`;
    writeFileSync(temporary, library);
    renameSync(temporary, record);
  }
  return { library, log };
}

/** @param {string} [cache] @param {string} [optimize] clang's level */
export function serve(cache = defaultCache, optimize) {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const request = /** @type {Request} */ (JSON.parse(line));
    const { library, log } = await compileText(request, cache, optimize).catch((error) => ({
      library: undefined,
      log: String(error.message),
    }));
    process.stdout.write(`${JSON.stringify({ id: request.id, library: library ?? "", log })}\n`);
  });
  lines.on("close", () => process.exit(0));
}
