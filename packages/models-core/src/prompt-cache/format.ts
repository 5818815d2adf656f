import { byteLength, isDType, Tensor } from "@rlxjs/ir";
import { runInSlices, type Work } from "@rlxjs/runtime";
import { z } from "zod";
import { BlockDigest } from "./digest.ts";
import { PromptCacheError } from "./errors.ts";
import { PromptCache, type PromptCacheOptions, type PromptEntry } from "./prompt-cache.ts";

// Layout, little-endian: "RLXP", u32 version, u32 bytes of the JSON header, u32 zero, header, then of every entry its tokens (u32), logits (f32)
// and rows, each at a multiple of 8 from the start, padded with zeros; then the digest of all that (see BlockDigest). Offsets follow from the header's types.
const magic = 0x50584c52;
const version = 1;
const prefix = 16;
const alignment = 8;
const checksumBytes = 32;
const aligned = (n: number): number => Math.ceil(n / alignment) * alignment;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const headerSchema = z.strictObject({
  fingerprint: z.string().max(256).optional(),
  entries: z.array(
    z.strictObject({
      tokens: count.min(1),
      vocab: count.min(1),
      rows: z.array(z.strictObject({ name: z.string().max(256), dtype: z.string(), shape: z.array(count).max(8) })),
    }),
  ),
});
type Header = z.infer<typeof headerSchema>;

/** A prompt cache as bytes, in pieces: write them one after the other. The cache must not change meanwhile. */
export async function* encodePromptCache({ entries, fingerprint }: PromptCache): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const header: Header = {
    ...(fingerprint === undefined ? {} : { fingerprint }),
    entries: entries.map(({ snapshot, logits }) => ({
      tokens: snapshot.tokens.length,
      vocab: logits.length,
      rows: [...snapshot.rows].map(([name, { dtype, shape }]) => ({ name, dtype, shape: [...shape] })),
    })),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(aligned(prefix + json.byteLength));
  const view = new DataView(head.buffer);
  for (const [i, v] of [magic, version, json.byteLength, 0].entries()) view.setUint32(4 * i, v, true);
  head.set(json, prefix);
  const digest = new BlockDigest();
  const piece = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => {
    const padded = bytes.byteLength % alignment === 0 ? bytes : new Uint8Array(aligned(bytes.byteLength));
    if (padded !== bytes) padded.set(bytes);
    await digest.update(padded);
    return padded;
  };
  yield await piece(head);
  for (const { snapshot, logits } of entries) {
    yield await piece(new Uint8Array(Uint32Array.from(snapshot.tokens).buffer));
    yield await piece(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    for (const { bytes } of snapshot.rows.values()) yield await piece(bytes);
  }
  yield await digest.end();
}

/**
 * A prompt cache from its bytes, which are checked before they are believed. PromptCacheError: damaged, of another version, or, where
 * `fingerprint` is given, of another model. Entries beyond `maxBytes` are left out, least recently used first.
 */
export async function decodePromptCache(bytes: Uint8Array<ArrayBuffer>, options: PromptCacheOptions = {}): Promise<PromptCache> {
  const { header, at } = readHeader(bytes);
  const digest = new BlockDigest();
  await digest.update(bytes.subarray(0, bytes.byteLength - checksumBytes));
  const sum = await digest.end();
  if (!sum.every((b, i) => b === bytes[bytes.byteLength - checksumBytes + i]))
    throw new PromptCacheError("expected bytes of their checksum, got others");
  const reader = new Reader(bytes, at, bytes.byteLength - checksumBytes);
  const entries = await runInSlices(readEntries(reader, header));
  const { fingerprint } = header;
  const cache = new PromptCache({ ...options, ...(fingerprint === undefined ? {} : { fingerprint }) });
  if (options.fingerprint !== undefined) cache.bind(options.fingerprint);
  for (const entry of entries) cache.insert(entry);
  return cache;
}

function* readEntries(reader: Reader, { entries }: Header): Work<PromptEntry[]> {
  const read: PromptEntry[] = [];
  for (const entry of entries) read.push(yield* readEntry(reader, entry));
  reader.end();
  return read;
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): { readonly header: Header; readonly at: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const least = prefix + checksumBytes;
  if (bytes.byteLength < least) throw new PromptCacheError(`expected at least ${least} bytes, got ${bytes.byteLength}`);
  if (view.getUint32(0, true) !== magic) throw new PromptCacheError('expected bytes that begin with "RLXP", got others');
  if (view.getUint32(4, true) !== version) throw new PromptCacheError(`expected version ${version}, got ${view.getUint32(4, true)}`);
  const end = prefix + view.getUint32(8, true);
  const room = bytes.byteLength - checksumBytes;
  if (aligned(end) > room) throw new PromptCacheError(`header: expected at most ${room - prefix} bytes, got ${end - prefix}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(prefix, end)));
  } catch (error) {
    throw new PromptCacheError(`header: expected JSON, got ${error instanceof Error ? error.message : "something else"}`);
  }
  const parsed = headerSchema.safeParse(json);
  if (!parsed.success) throw new PromptCacheError(`header: ${z.prettifyError(parsed.error).split("\n")[0]}`);
  return { header: parsed.data, at: aligned(end) };
}

function* readEntry(reader: Reader, { tokens, vocab, rows }: Header["entries"][number]): Work<PromptEntry> {
  const ids = reader.take("u32", [tokens], "tokens").data;
  const logits = reader.take("f32", [vocab], "logits").data;
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape } of rows) {
    if (tensors.has(name)) throw new PromptCacheError(`entry: state ${JSON.stringify(name)} is there twice`);
    tensors.set(name, reader.take(dtype, shape, `state ${JSON.stringify(name)}`));
    yield undefined;
  }
  let bytes = 0;
  for (const tensor of tensors.values()) bytes += tensor.bytes.byteLength;
  return { snapshot: { tokens: Array.from(ids, Number), rows: tensors, bytes }, logits: Float32Array.from(logits, Number) };
}

/** Takes tensors off bytes; no extent is believed that the bytes do not hold. */
class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  take(dtype: string, shape: readonly number[], what: string): Tensor {
    const left = this.#end - this.#at;
    const wrong = (expected: string): PromptCacheError =>
      new PromptCacheError(`${what}: expected ${expected}, got ${dtype.slice(0, 20)}[${shape}]`);
    if (!isDType(dtype)) throw wrong("a known dtype");
    const bytes = byteLength(dtype, shape);
    if (!(bytes <= left && aligned(bytes) <= left)) throw wrong(`at most the ${left} bytes that are left`);
    const from = this.#at;
    this.#at += aligned(bytes);
    try {
      // A copy: the entry must not keep all other bytes alive.
      return Tensor.fromBytes(dtype, shape, this.#bytes.slice(from, from + bytes));
    } catch {
      throw wrong("a tensor");
    }
  }

  end(): void {
    if (this.#at !== this.#end) throw new PromptCacheError(`expected ${this.#at + checksumBytes} bytes, got ${this.#end + checksumBytes}`);
  }
}
