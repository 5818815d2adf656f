import type { DType } from "@rlxjs/ir";
import { type Checkpoint, elementCount, StoredCheckpoint, type StoredTensor } from "./checkpoint.ts";
import { ModelFileError, show } from "./errors.ts";
import { isObject, type JsonObject, parseJson, readJsonFile } from "./json.ts";
import { type ByteSource, type Directory, decodeUtf8 } from "./source.ts";

/*
 * The format (https://huggingface.co/docs/safetensors): u64 header length, a JSON header { name: { dtype, shape,
 * data_offsets: [begin, end) } }, then the data, which the tensors cover exactly, without holes or overlaps.
 */

/** As in the reference implementation: a longer header is refused. */
const maxHeaderBytes = 100_000_000;
const maxRank = 64;

/** Bits per element and our dtype, by the format's names. Types without a dtype are listed but cannot be read. */
const types = new Map<string, { readonly bits: number; readonly dtype?: DType }>([
  ["F64", { bits: 64, dtype: "f64" }],
  ["F32", { bits: 32, dtype: "f32" }],
  ["F16", { bits: 16, dtype: "f16" }],
  ["BF16", { bits: 16, dtype: "bf16" }],
  ["I64", { bits: 64, dtype: "i64" }],
  ["I32", { bits: 32, dtype: "i32" }],
  ["I16", { bits: 16, dtype: "i16" }],
  ["I8", { bits: 8, dtype: "i8" }],
  ["U8", { bits: 8, dtype: "u8" }],
  ["U32", { bits: 32, dtype: "u32" }],
  ["BOOL", { bits: 8, dtype: "bool" }],
  ["U16", { bits: 16 }],
  ["U64", { bits: 64 }],
  ["C64", { bits: 64 }],
  ["F8_E4M3", { bits: 8 }],
  ["F8_E5M2", { bits: 8 }],
  ["F8_E8M0", { bits: 8 }],
  ["F4", { bits: 4 }],
  ["F6_E2M3", { bits: 6 }],
  ["F6_E3M2", { bits: 6 }],
]);

/** The format's name of each dtype that it can hold. */
export const safetensorsTypes: ReadonlyMap<DType, string> = new Map(
  [...types].flatMap(([name, { dtype }]): [DType, string][] => (dtype ? [[dtype, name]] : [])),
);

/** Open one safetensors file. Every offset is checked against the file before anything else is done. Takes over `source`. */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  try {
    return new StoredCheckpoint(source.name, [source], await readHeader(source));
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
}

/** Open `model.safetensors`, or the shards that `model.safetensors.index.json` names. */
export async function openSafetensorsDirectory(directory: Directory): Promise<Checkpoint> {
  const single = await directory.open("model.safetensors");
  if (single) return openSafetensors(single);
  const index = await readJsonFile(directory, "model.safetensors.index.json");
  if (!index)
    throw new ModelFileError({
      file: directory.name,
      expected: "model.safetensors or model.safetensors.index.json",
      given: "neither",
    });
  return openShards(directory, index);
}

async function openShards(directory: Directory, index: JsonObject): Promise<Checkpoint> {
  const file = "model.safetensors.index.json";
  const map = index.weight_map;
  if (!isObject(map)) throw new ModelFileError({ file, tensor: "weight_map", expected: "an object", given: show(map) });
  const sources: ByteSource[] = [];
  try {
    const tensors: StoredTensor[] = [];
    const shardOf = new Map<string, string>();
    for (const [name, shard] of Object.entries(map)) {
      if (typeof shard !== "string" || !/^[\w.-]+$/.test(shard) || shard.startsWith("."))
        throw new ModelFileError({ file, tensor: name, expected: "the plain name of a file beside this one", given: show(shard) });
      shardOf.set(name, shard);
    }
    for (const shard of new Set(shardOf.values())) {
      const source = await directory.open(shard);
      if (!source) throw new ModelFileError({ file: directory.name, expected: `the shard ${shard}`, given: "no such file" });
      sources.push(source);
      for (const t of await readHeader(source)) {
        if (shardOf.get(t.name) !== shard)
          throw new ModelFileError({
            file: shard,
            tensor: t.name,
            expected: `it in ${shardOf.get(t.name) ?? "no shard"}, as the index says`,
            given: "it here",
          });
        tensors.push(t);
        shardOf.delete(t.name);
      }
      for (const [name, expected] of shardOf)
        if (expected === shard)
          throw new ModelFileError({ file: shard, tensor: name, expected: "it here, as the index says", given: "no such tensor" });
    }
    return new StoredCheckpoint(directory.name, sources, tensors);
  } catch (error) {
    for (const s of sources) s[Symbol.dispose]();
    throw error;
  }
}

async function readHeader(source: ByteSource): Promise<StoredTensor[]> {
  const file = source.name;
  if (source.size < 8) throw new ModelFileError({ file, expected: "a header length of 8 bytes", given: `a file of ${source.size} bytes` });
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  const limit = Math.min(maxHeaderBytes, source.size - 8);
  if (length > BigInt(limit)) throw new ModelFileError({ file, expected: `a header of at most ${limit} bytes`, given: `${length} bytes` });
  const headerBytes = Number(length);
  const bytes = await source.read(8, headerBytes);
  if (bytes[0] !== 0x7b) throw new ModelFileError({ file, expected: "a header that starts with {", given: `byte ${bytes[0] ?? "none"}` });
  const header = parseJson(file, decodeUtf8(file, bytes));
  if (!isObject(header)) throw new ModelFileError({ file, expected: "a header object", given: show(header) });
  const data = 8 + headerBytes;
  const tensors: StoredTensor[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") checkMetadata(file, entry);
    else tensors.push(readEntry(source, name, entry, data));
  }
  checkCoverage(source, tensors, data);
  return tensors;
}

function checkMetadata(file: string, entry: unknown): void {
  if (!isObject(entry) || Object.values(entry).some((v) => typeof v !== "string"))
    throw new ModelFileError({ file, tensor: "__metadata__", expected: "an object of strings", given: show(entry) });
}

function readEntry(source: ByteSource, name: string, entry: unknown, data: number): StoredTensor {
  const file = source.name;
  const fail = (expected: string, given: string): ModelFileError => new ModelFileError({ file, tensor: name, expected, given });
  if (!isObject(entry)) throw fail("an object", show(entry));
  const { dtype: storedAs, shape, data_offsets: offsets } = entry;
  const type = typeof storedAs === "string" ? types.get(storedAs) : undefined;
  if (typeof storedAs !== "string" || !type) throw fail(`a dtype of ${[...types.keys()].join(" ")}`, show(storedAs));
  if (!isCounts(shape) || shape.length > maxRank) throw fail(`a shape of at most ${maxRank} extents >= 0`, show(shape));
  if (!isCounts(offsets)) throw fail("data_offsets [begin, end]", show(offsets));
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2 || begin > end || end > source.size - data)
    throw fail(`data_offsets [begin, end] inside ${source.size - data} bytes of data`, show(offsets));
  const count = elementCount(shape);
  if (count === undefined) throw fail("a number of elements below 2^53", `the shape ${show(shape)}`);
  if (count * type.bits !== (end - begin) * 8)
    throw fail(`${(count * type.bits) / 8} bytes for ${storedAs} ${show(shape)}`, `${end - begin} bytes`);
  return { name, shape, dtype: type.dtype, storedAs, byteLength: end - begin, source, offset: data + begin };
}

const isCounts = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((d) => typeof d === "number" && Number.isSafeInteger(d) && d >= 0);

/** The data is covered from its first to its last byte, each byte by one tensor. */
function checkCoverage(source: ByteSource, tensors: readonly StoredTensor[], data: number): void {
  let at = data;
  // Empty tensors sort before the tensor that starts at the same place.
  for (const t of [...tensors].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (t.offset !== at)
      throw new ModelFileError({
        file: source.name,
        tensor: t.name,
        expected: `data from ${at - data} on, where the tensor before it ends`,
        given: `data from ${t.offset - data} on`,
      });
    at = t.offset + t.byteLength;
  }
  if (at !== source.size)
    throw new ModelFileError({
      file: source.name,
      expected: `${at - data} bytes of data, as the header says`,
      given: `${source.size - data} bytes`,
    });
}
