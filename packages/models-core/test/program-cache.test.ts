import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directoryProgramCache, ProgramCacheError } from "@rlxjs/models-core/node";
import { expect, onTestFinished, test } from "vitest";

const keyOf = (n: number): string => n.toString(16).padStart(64, "0");

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "rlxjs-programs-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

test("what was put comes back, in another process too; the directory is made when something is put", async () => {
  const path = join(await directory(), "not", "yet");
  expect(await directoryProgramCache(path).get(keyOf(1))).toBeUndefined();
  await directoryProgramCache(path).put(keyOf(1), Uint8Array.of(1, 2, 3));
  await directoryProgramCache(path).put(keyOf(1), Uint8Array.of(4, 5));
  expect(await directoryProgramCache(path).get(keyOf(1))).toEqual(Uint8Array.of(4, 5));
  expect(await readdir(path)).toEqual([`${keyOf(1)}.rlxp`]);
});

test("compiling at once reads the same files, and uses them", async () => {
  const path = await directory();
  const cache = directoryProgramCache(path, { maxBytes: 10 });
  expect(cache.getSync?.(keyOf(1))).toBeUndefined();
  for (const key of [1, 2]) await cache.put(keyOf(key), new Uint8Array(5).fill(key));
  for (const key of [1, 2]) await utimes(join(path, `${keyOf(key)}.rlxp`), new Date(1000 * key), new Date(1000 * key));
  expect(cache.getSync?.(keyOf(1))).toEqual(new Uint8Array(5).fill(1));
  await cache.put(keyOf(3), new Uint8Array(5));
  expect(await cache.get(keyOf(2)), "used before the other one").toBeUndefined();
  expect(cache.getSync?.(keyOf(1))).toBeDefined();
});

test("files that were not used for longest go first", async () => {
  const path = await directory();
  const cache = directoryProgramCache(path, { maxBytes: 30 });
  const used = async (key: number, secondsAgo: number) => {
    const time = new Date(Date.now() - 1000 * secondsAgo);
    await utimes(join(path, `${keyOf(key)}.rlxp`), time, time);
  };
  for (const key of [1, 2, 3]) await cache.put(keyOf(key), new Uint8Array(10));
  await used(1, 100);
  await used(2, 200);
  await used(3, 50);
  await cache.get(keyOf(2));
  await cache.put(keyOf(4), new Uint8Array(10));
  expect((await readdir(path)).sort()).toEqual([2, 3, 4].map((k) => `${keyOf(k)}.rlxp`));
  await cache.put(keyOf(5), new Uint8Array(31));
  expect(await cache.get(keyOf(5)), "larger than the whole cache").toBeUndefined();
});

test("caches that share a directory and write at once leave whole files, and nothing else", async () => {
  const path = await directory();
  const caches = [1, 2, 3].map(() => directoryProgramCache(path, { maxBytes: 5000 }));
  const put = caches.flatMap((cache, c) => Array.from({ length: 20 }, (_, i) => cache.put(keyOf(i % 7), new Uint8Array(1000).fill(c + 1))));
  const got = Array.from({ length: 40 }, (_, i) => caches[i % 3]?.get(keyOf(i % 7)));
  await Promise.all(put);
  for (const bytes of await Promise.all(got)) if (bytes) expect(new Set(bytes).size, "of one writer").toBe(1);
  const names = await readdir(path);
  expect(names.every((n) => n.endsWith(".rlxp"))).toBe(true);
  expect(names.length).toBeLessThanOrEqual(7);
});

test("what a dead process left unfinished is removed after a while, other files are not", async () => {
  const path = await directory();
  for (const name of ["old.tmp", "new.tmp", "notes.txt"]) await writeFile(join(path, name), "x");
  await utimes(join(path, "old.tmp"), new Date(0), new Date(0));
  await directoryProgramCache(path).put(keyOf(1), Uint8Array.of(1));
  expect((await readdir(path)).sort()).toEqual([`${keyOf(1)}.rlxp`, "new.tmp", "notes.txt"].sort());
});

test("keys, limits and directories that are none are refused", async () => {
  const path = await directory();
  await writeFile(join(path, "file"), "x");
  await expect(directoryProgramCache(path).get("../../etc/passwd")).rejects.toThrow(ProgramCacheError);
  expect(() => directoryProgramCache(path, { maxBytes: -1 })).toThrow(ProgramCacheError);
  expect(() => directoryProgramCache(path).getSync?.("a")).toThrow(ProgramCacheError);
  await mkdir(join(path, `${keyOf(2)}.rlxp`));
  await expect(directoryProgramCache(path).get(keyOf(2))).rejects.toThrow(/cannot read .*rlxp/);
  expect(() => directoryProgramCache(path).getSync?.(keyOf(2))).toThrow(/cannot read .*rlxp/);
  await expect(directoryProgramCache(join(path, "file")).put(keyOf(1), new Uint8Array(1))).rejects.toThrow(/cannot write to .*file/);
});
