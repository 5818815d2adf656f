import { elementCount, StoredCheckpoint, type StoredTensor } from "../checkpoint.ts";
import { ModelFileError, show } from "../errors.ts";
import type { ByteSource } from "../source.ts";
import { Cursor, NeedMore } from "./cursor.ts";
import { GgufMetadata, type GgufValue } from "./metadata.ts";
import { defaultAlignment, ggmlTypeById, maxRank } from "./types.ts";

/** A GGUF file: tensors and metadata. */
export class GgufCheckpoint extends StoredCheckpoint {
  readonly version: number;
  readonly metadata: GgufMetadata;
  constructor(header: GgufHeader, sources: readonly ByteSource[], tensors: readonly StoredTensor[]) {
    super(header.metadata.file, sources, tensors);
    this.version = header.version;
    this.metadata = header.metadata;
  }
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly StoredTensor[];
}

/** What a first read asks for; headers without a tokenizer fit. */
const firstRead = 2 ** 20;

/** Open one GGUF file (version 2 or 3, little-endian). Everything is checked against the file's size first. Takes over `source`. */
export async function openGguf(source: ByteSource): Promise<GgufCheckpoint> {
  try {
    const header = await readGgufHeader(source);
    return new GgufCheckpoint(header, [source], header.tensors);
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
}

/** Parse the header, reading twice as much whenever what has been read does not hold it. */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  let length = source.view ? source.size : Math.min(source.size, firstRead);
  for (;;) {
    const bytes = await source.read(0, length);
    try {
      return parseHeader(source, new Cursor(source.name, bytes, source.size));
    } catch (error) {
      if (!(error instanceof NeedMore)) throw error;
      length = Math.min(source.size, Math.max(2 * length, error.end));
    }
  }
}

function parseHeader(source: ByteSource, cursor: Cursor): GgufHeader {
  const version = readVersion(cursor);
  // The least that an entry takes: a tensor has name length, rank, type, offset; a value has key length, type, one byte.
  const tensorCount = cursor.count("tensor count", 24);
  const valueCount = cursor.count("metadata count", 13);
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.key();
    if (values.has(key)) throw cursor.fail(key, "each metadata key once", "it twice");
    values.set(key, cursor.value(key));
  }
  const metadata = new GgufMetadata(source.name, values);
  const alignment = readAlignment(metadata);
  const entries: Entry[] = [];
  for (let i = 0; i < tensorCount; i++) entries.push(readEntry(cursor));
  const data = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = entries.map((e) => place(source, e, data, alignment));
  refuseOverlap(source, tensors);
  return { version, metadata, tensors };
}

function readVersion(cursor: Cursor): number {
  const magic = cursor.u32();
  if (magic !== 0x46554747) throw cursor.fail(undefined, "a GGUF file", `magic 0x${magic.toString(16).padStart(8, "0")}`);
  const version = cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0)
    throw cursor.fail(undefined, "a little-endian file", `a big-endian one, version ${version / 2 ** 24}`);
  if (version !== 2 && version !== 3) throw cursor.fail(undefined, "GGUF version 2 or 3", `version ${version}`);
  return version;
}

function readAlignment(metadata: GgufMetadata): number {
  const alignment = metadata.number("general.alignment") ?? defaultAlignment;
  if (!Number.isInteger(Math.log2(alignment)) || alignment < 1 || alignment > 2 ** 24)
    throw new ModelFileError({
      file: metadata.file,
      tensor: "general.alignment",
      expected: "a power of two up to 2^24",
      given: show(alignment),
    });
  return alignment;
}

interface Entry {
  readonly name: string;
  /** Row-major: the file has the innermost axis first. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: bigint;
}

function readEntry(cursor: Cursor): Entry {
  const name = cursor.string("tensor name", 1024);
  const rank = cursor.u32();
  if (rank > maxRank) throw cursor.fail(name, `at most ${maxRank} axes`, `${rank}`);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const extent = cursor.u64();
    if (extent > BigInt(Number.MAX_SAFE_INTEGER)) throw cursor.fail(name, "extents below 2^53", `${extent}`);
    shape.unshift(Number(extent));
  }
  return { name, shape, type: cursor.u32(), offset: cursor.u64() };
}

function place(source: ByteSource, { name, shape, type: id, offset }: Entry, data: number, alignment: number): StoredTensor {
  const fail = (expected: string, given: string): ModelFileError =>
    new ModelFileError({ file: source.name, tensor: name, expected, given });
  const elements = elementCount(shape);
  if (elements === undefined) throw fail("a number of elements below 2^53", `the shape [${shape}]`);
  const type = ggmlTypeById.get(id);
  const room = Math.max(0, source.size - data);
  if (offset > BigInt(room)) throw fail(`an offset inside ${room} bytes of data`, `${offset}`);
  const at = Number(offset);
  if (at % alignment !== 0) throw fail(`an offset that is a multiple of ${alignment}`, `${at}`);
  // The size of a type that is not known cannot be checked; it cannot be read either.
  if (!type) return { name, shape, dtype: undefined, storedAs: `ggml type ${id}`, byteLength: 0, source, offset: data + at };
  const last = shape[shape.length - 1] ?? 1;
  if (last % type.blockSize !== 0) throw fail(`rows of a multiple of ${type.blockSize} elements for ${type.name}`, `rows of ${last}`);
  const byteLength = (elements / type.blockSize) * type.blockBytes;
  if (byteLength > room - at) throw fail(`${byteLength} bytes of data at ${at}`, `${room - at}, where the file ends`);
  return { name, shape, dtype: type.dtype, storedAs: type.name, byteLength, source, offset: data + at };
}

function refuseOverlap(source: ByteSource, tensors: readonly StoredTensor[]): void {
  let end = 0;
  for (const t of [...tensors].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (t.byteLength > 0 && t.offset < end)
      throw new ModelFileError({
        file: source.name,
        tensor: t.name,
        expected: "data of its own",
        given: "data that overlaps another tensor's",
      });
    end = Math.max(end, t.offset + t.byteLength);
  }
}
