import { ModelFileError } from "./errors.ts";

/** Random access to the bytes of a file, wherever they are. */
export interface ByteSource extends Disposable {
  /** What errors call it: a path, a URL, or a file's name. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes; a range outside the file is a ModelFileError. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The same without waiting or copying, where the bytes are mapped or in memory; valid until the source is disposed. */
  view?(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Files that belong together, such as a model directory. */
export interface Directory {
  readonly name: string;
  /** A file by its plain name; undefined when there is none. The caller disposes it. */
  open(file: string): Promise<ByteSource | undefined>;
}

/** Where a writer puts bytes, in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** Refuse a range that is not inside the source, before anything is read or allocated. */
export function checkRange(source: { readonly name: string; readonly size: number }, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || length > source.size - offset)
    throw new ModelFileError({
      file: source.name,
      expected: `a range inside the file's ${source.size} bytes`,
      given: `${length} bytes at ${offset}`,
    });
}

/** Bytes in memory. */
export function memorySource(name: string, bytes: Uint8Array<ArrayBuffer>): ByteSource {
  const source = {
    name,
    size: bytes.byteLength,
    view(offset: number, length: number): Uint8Array<ArrayBuffer> {
      checkRange(source, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    read: async (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => source.view(offset, length),
    [Symbol.dispose]() {},
  };
  return source;
}

/** A Blob or File, as browsers hand them out. */
export function blobSource(name: string, blob: Blob): ByteSource {
  const source = {
    name,
    size: blob.size,
    async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
      checkRange(source, offset, length);
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
    [Symbol.dispose]() {},
  };
  return source;
}

/** Files in memory, by name. */
export function memoryDirectory(name: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Directory {
  return {
    name,
    async open(file) {
      const bytes = files.get(file);
      return bytes && memorySource(file, bytes);
    },
  };
}

/** All of a text file; files that are larger than `limit` bytes are refused unread. */
export async function readText(source: ByteSource, limit: number): Promise<string> {
  if (source.size > limit)
    throw new ModelFileError({ file: source.name, expected: `at most ${limit} bytes`, given: `${source.size} bytes` });
  const bytes = await source.read(0, source.size);
  return decodeUtf8(source.name, bytes);
}

/** UTF-8 text; bytes that are not UTF-8 are an error, not replacement characters. */
export function decodeUtf8(file: string, bytes: Uint8Array, what?: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new ModelFileError({ file, tensor: what, expected: "UTF-8 text", given: "other bytes" });
  }
}
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
