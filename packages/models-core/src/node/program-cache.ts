import { randomUUID } from "node:crypto";
import { readFileSync, utimesSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RlxError } from "@rlxjs/ir";
import type { ProgramCache } from "@rlxjs/runtime";

export interface DirectoryCacheOptions {
  /** Most bytes of all files together; default 256 MiB. The files that were used least recently go first. */
  readonly maxBytes?: number;
}

/** A directory that cannot be used as a cache, or a key that is none. */
export class ProgramCacheError extends RlxError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_PROGRAM_CACHE", `program cache: ${message}`);
    if (options) this.cause = options.cause;
  }
}

const DEFAULT_BYTES = 2 ** 28;
const extension = ".rlxp";
/** What a process that died while it wrote has left behind, after this time. */
const ABANDONED_MS = 3_600_000;

/**
 * A program cache in files of a directory, which is made when something is put. Processes may share it: files appear whole or not at all,
 * and one that another process has removed is a miss. Time stamps of files say when they were used last.
 */
export function directoryProgramCache(path: string, { maxBytes = DEFAULT_BYTES }: DirectoryCacheOptions = {}): ProgramCache {
  if (!(maxBytes >= 0)) throw new ProgramCacheError(`maxBytes: expected a number >= 0, got ${maxBytes}`);
  const fileOf = (key: string): string => {
    if (!/^[0-9a-f]{64}$/.test(key)) throw new ProgramCacheError(`key: expected 64 hex digits, got "${key}"`);
    return join(path, key + extension);
  };
  return {
    async get(key) {
      const file = fileOf(key);
      const bytes = await unlessMissing(readFile(file)).catch((cause: unknown) => fail("read", file, cause));
      if (!bytes) return undefined;
      const now = new Date();
      // A directory that may only be read serves as well; its files just keep their times.
      await utimes(file, now, now).catch(() => undefined);
      return new Uint8Array(bytes);
    },
    getSync(key) {
      const file = fileOf(key);
      let bytes: Uint8Array;
      try {
        bytes = readFileSync(file);
      } catch (cause) {
        return isMissing(cause) ? undefined : fail("read", file, cause);
      }
      try {
        const now = new Date();
        utimesSync(file, now, now);
      } catch {
        // As above.
      }
      return new Uint8Array(bytes);
    },
    async put(key, bytes) {
      const file = fileOf(key);
      if (bytes.byteLength > maxBytes) return;
      const temporary = join(path, `${key}.${randomUUID()}.tmp`);
      try {
        await mkdir(path, { recursive: true });
        await writeFile(temporary, bytes);
        await rename(temporary, file);
        await trim(path, maxBytes);
      } catch (cause) {
        await rm(temporary, { force: true }).catch(() => undefined);
        fail("write to", path, cause);
      }
    },
  };
}

/** Remove what exceeds `maxBytes`, least recently used first, and files that were never finished. */
async function trim(path: string, maxBytes: number): Promise<void> {
  const names = (await unlessMissing(readdir(path))) ?? [];
  const files = await Promise.all(
    names
      .filter((name) => name.endsWith(extension) || name.endsWith(".tmp"))
      .map(async (name) => {
        const info = await unlessMissing(stat(join(path, name)));
        return info ? [{ name, bytes: info.size, used: info.mtimeMs }] : [];
      }),
  );
  const newest = files.flat().sort((a, b) => b.used - a.used);
  let bytes = 0;
  for (const file of newest) {
    const abandoned = file.name.endsWith(".tmp") && Date.now() - file.used > ABANDONED_MS;
    if (file.name.endsWith(extension)) bytes += file.bytes;
    if (abandoned || (file.name.endsWith(extension) && bytes > maxBytes)) await rm(join(path, file.name), { force: true });
  }
}

function fail(what: string, path: string, cause: unknown): never {
  throw new ProgramCacheError(`cannot ${what} ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

/** Undefined when the file, or the directory, is not there: another process may have removed it. */
async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
