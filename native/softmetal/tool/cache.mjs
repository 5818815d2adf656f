// Files that depend on nothing but what their name says. Processes may make the same one at the same time: each writes its own and renames it into place.
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { standardHeaders } from "./flags.mjs";
import { swizzleHeader } from "./swizzles.mjs";

const home = fileURLToPath(new URL("..", import.meta.url));
const week = 7 * 24 * 3600 * 1000;

/** @param {...(string | Buffer)} parts */
export function hash(...parts) {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(`${part.length}:`).update(part);
  return sum.digest("hex").slice(0, 32);
}

/** @param {string} folder @returns {string[]} */
function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** Changes whenever the source tool or the shim does. */
export const toolVersion = hash(
  ...["tool", "shim"].flatMap((name) => filesBelow(join(home, name)).sort()).flatMap((path) => [path, readFileSync(path)]),
);

/** The default place, next to the other caches of this repository. */
export const defaultCache = fileURLToPath(new URL("../../../.cache/softmetal", import.meta.url));

/** @param {number} pid */
function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/** undefined: the lock is gone, or made and not yet written. @param {string} lock */
function ownerOf(lock) {
  try {
    return Number(readFileSync(lock, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Waits while another process makes `path`, so that the work is not done twice. A lock is a saving only: whoever finds it stale, or both, may go on.
 * @param {string} path @param {string} lock
 */
async function waitForOthers(path, lock) {
  while (!existsSync(path)) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    const owner = ownerOf(lock);
    if (owner !== undefined && !isRunning(owner)) rmSync(lock, { force: true });
    await setTimeout(20);
  }
}

/** Makes `path` by `make(temporary)` unless it exists. @param {string} path @param {(temporary: string) => Promise<void> | void} make */
export async function once(path, make) {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${process.pid}-${randomUUID()}-${basename(path)}`);
  const lock = join(dirname(path), `.${basename(path)}.lock`);
  await waitForOthers(path, lock);
  if (existsSync(path)) return;
  try {
    await make(temporary);
    renameSync(temporary, path);
  } catch (error) {
    // A folder cannot replace the one that another process has put there meanwhile; it has the same content.
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
    rmSync(lock, { force: true });
  }
}

/** Removes what other versions of the tool left and nobody has used for a week. @param {string} cache @param {string} current */
function prune(cache, current) {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (path !== current && age > week) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * The folder of this version of the tool. It holds copies of the shim (`shim/`), because a precompiled header is refused when the time stamps of its sources
 * change, and the empty standard headers (`std/`) of the first preprocessing.
 * @param {string} cache
 */
export async function versionFolder(cache) {
  const folder = join(cache, toolVersion);
  const created = !existsSync(folder);
  await once(join(folder, "shim"), (temporary) => {
    mkdirSync(temporary);
    for (const path of filesBelow(join(home, "shim"))) writeFileSync(join(temporary, basename(path)), readFileSync(path));
    writeFileSync(join(temporary, "swizzles.h"), swizzleHeader());
  });
  await once(join(folder, "std"), (temporary) => {
    mkdirSync(temporary);
    for (const name of standardHeaders) writeFileSync(join(temporary, name), "");
    mkdirSync(join(temporary, "simd"));
    writeFileSync(join(temporary, "simd", "simd.h"), "");
  });
  const now = new Date();
  utimesSync(folder, now, now);
  if (created) prune(cache, folder);
  return folder;
}
