import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { MappedFile } from "@rlxjs/runtime";
import { ModelFileError } from "../errors.ts";
import { type ByteSink, type ByteSource, checkRange, type Directory } from "../source.ts";

/** Maps a file into memory where the device can: a session's `mapFile`. */
export type MapFile = (path: string) => MappedFile | undefined;

/** Open a file: mapped where `mapFile` can, else read on demand. A path that cannot be read is a ModelFileError. */
export async function openFile(path: string, mapFile?: MapFile): Promise<ByteSource> {
  const stats = await statOrUndefined(path);
  if (!stats?.isFile()) throw new ModelFileError({ file: path, expected: "a file", given: describe(stats) });
  // An empty file cannot be mapped.
  const mapped = stats.size > 0 ? mapFile?.(path) : undefined;
  if (mapped) return mappedSource(path, mapped);
  return handleSource(path, stats.size, await openOrFail(path, path, "r"));
}

/** The files of a directory. */
export async function openDirectory(path: string, mapFile?: MapFile): Promise<Directory> {
  const stats = await statOrUndefined(path);
  if (!stats?.isDirectory()) throw new ModelFileError({ file: path, expected: "a directory", given: describe(stats) });
  return {
    name: path,
    async open(file) {
      // Names come from model files; they must not leave the directory.
      if (basename(file) !== file || file === ".." || file === ".")
        throw new ModelFileError({ file: path, expected: "the plain name of a file in this directory", given: JSON.stringify(file) });
      const full = join(path, file);
      return (await statOrUndefined(full))?.isFile() ? openFile(full, mapFile) : undefined;
    },
  };
}

/**
 * Write a file through `write`: it appears under its name when all of it is written, and not at all when `write` fails or the signal is
 * aborted. That the directory can be written to is checked before `write` is called.
 */
export async function writeFileAtomically<T>(path: string, write: (sink: ByteSink) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const directory = dirname(path);
  if (!(await statOrUndefined(directory))?.isDirectory())
    throw new ModelFileError({ file: path, expected: "a directory to write into", given: `no directory ${directory}` });
  if ((await statOrUndefined(path))?.isDirectory())
    throw new ModelFileError({ file: path, expected: "the name of a file to write", given: "a directory" });
  const temporary = join(directory, `.${basename(path)}.${randomUUID()}.tmp`);
  const handle = await openOrFail(path, temporary, "wx");
  try {
    const result = await write({
      async write(bytes) {
        signal?.throwIfAborted();
        for (let at = 0; at < bytes.byteLength; )
          at += (await handle.write(bytes, at, Math.min(maxCall, bytes.byteLength - at))).bytesWritten;
      },
    });
    await handle.sync();
    await handle.close();
    await rename(temporary, path);
    return result;
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
}

/** One system call moves less than 2 GiB. */
const maxCall = 2 ** 30;

async function statOrUndefined(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}
const describe = (stats: Stats | undefined): string =>
  stats === undefined ? "nothing that can be read" : stats.isDirectory() ? "a directory" : stats.isFile() ? "a file" : "something else";

/** Opens `actual`, which errors call `path`. */
async function openOrFail(path: string, actual: string, mode: "r" | "wx"): Promise<FileHandle> {
  try {
    return await open(actual, mode);
  } catch (error) {
    throw new ModelFileError({
      file: path,
      expected: `a file that can be ${mode === "r" ? "read" : "written"}`,
      given: error instanceof Error ? error.message : "an error",
    });
  }
}

function mappedSource(name: string, file: MappedFile): ByteSource {
  const source = {
    name,
    size: file.size,
    view(offset: number, length: number): Uint8Array<ArrayBuffer> {
      checkRange(source, offset, length);
      return file.view(offset, length);
    },
    read: async (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => source.view(offset, length),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
  return source;
}

function handleSource(name: string, size: number, handle: FileHandle): ByteSource {
  const source = {
    name,
    size,
    async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await handle.read(bytes, at, Math.min(maxCall, length - at), offset + at);
        if (bytesRead === 0)
          throw new ModelFileError({ file: name, expected: `${size} bytes`, given: `a file that now ends at ${offset + at}` });
        at += bytesRead;
      }
      return bytes;
    },
    // Node closes the handle when the reads under way have ended.
    [Symbol.dispose]: () => void handle.close(),
  };
  return source;
}
