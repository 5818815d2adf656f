import { byteLength, type DType } from "@rlxjs/ir";
import { elementCount } from "../checkpoint.ts";
import { ModelFileError } from "../errors.ts";
import type { ByteSink } from "../source.ts";
import { type GgufArray, type GgufType, type GgufValue, valueTypes } from "./metadata.ts";
import { defaultAlignment, ggmlTypeOf, maxKeyBytes, maxRank } from "./types.ts";

/** A tensor to write. */
export interface GgufTensorInput {
  readonly name: string;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** The bytes, in pieces of any size; asked for when the tensor's turn has come. */
  data(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Write a GGUF file, version 3, little-endian. Tensors are asked for one after the other, so only one is in memory. */
export async function writeGguf(
  sink: ByteSink,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensorInput[],
  file = "gguf",
): Promise<void> {
  const alignment = alignmentOf(file, metadata);
  const padded = (n: number): number => Math.ceil(n / alignment) * alignment;
  const out = new HeaderWriter();
  out.u32(0x46554747);
  out.u32(3);
  out.u64(BigInt(tensors.length));
  out.u64(BigInt(metadata.size));
  for (const [key, value] of metadata) {
    if (out.string(key) > maxKeyBytes)
      throw new ModelFileError({ file, tensor: key, expected: `a key of at most ${maxKeyBytes} bytes`, given: "more" });
    out.u32(valueTypes.indexOf(value.type));
    out.value(value);
  }
  let offset = 0;
  const names = new Set<string>();
  for (const t of tensors) {
    const type = checkTensor(file, t);
    if (names.has(t.name)) throw new ModelFileError({ file, tensor: t.name, expected: "each tensor once", given: "it twice" });
    names.add(t.name);
    out.string(t.name);
    out.u32(t.shape.length);
    for (const extent of [...t.shape].reverse()) out.u64(BigInt(extent));
    out.u32(type);
    out.u64(BigInt(offset));
    offset += padded(byteLength(t.dtype, t.shape));
  }
  const header = out.bytes();
  await sink.write(header);
  await sink.write(new Uint8Array(padded(header.length) - header.length));
  for (const t of tensors) {
    let written = 0;
    for await (const piece of t.data()) {
      written += piece.byteLength;
      await sink.write(piece);
    }
    const expected = byteLength(t.dtype, t.shape);
    if (written !== expected) throw new ModelFileError({ file, tensor: t.name, expected: `${expected} bytes`, given: `${written}` });
    await sink.write(new Uint8Array(padded(written) - written));
  }
}

function alignmentOf(file: string, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return defaultAlignment;
  if (value.type === "u32" && value.value >= 8 && value.value <= 2 ** 24 && Number.isInteger(Math.log2(value.value))) return value.value;
  throw new ModelFileError({
    file,
    tensor: "general.alignment",
    expected: "a u32 power of two from 8 to 2^24",
    given: `${value.type} ${String(value.value)}`,
  });
}

/** The tensor's ggml type number. */
function checkTensor(file: string, { name, shape, dtype }: GgufTensorInput): number {
  const fail = (expected: string, given: string): ModelFileError => new ModelFileError({ file, tensor: name, expected, given });
  const type = ggmlTypeOf.get(dtype);
  if (!type) throw fail(`a dtype of ${[...ggmlTypeOf.keys()].join(" ")}`, dtype);
  if (shape.length > maxRank || elementCount(shape) === undefined) throw fail(`a shape of at most ${maxRank} extents`, `[${shape}]`);
  if ((shape[shape.length - 1] ?? 1) % type.blockSize !== 0)
    throw fail(`rows of a multiple of ${type.blockSize} elements for ${dtype}`, `[${shape}]`);
  return type.id;
}

const fixed = {
  u8: { bytes: 1, set: (v: DataView, at: number, n: number) => v.setUint8(at, n) },
  i8: { bytes: 1, set: (v: DataView, at: number, n: number) => v.setInt8(at, n) },
  u16: { bytes: 2, set: (v: DataView, at: number, n: number) => v.setUint16(at, n, true) },
  i16: { bytes: 2, set: (v: DataView, at: number, n: number) => v.setInt16(at, n, true) },
  u32: { bytes: 4, set: (v: DataView, at: number, n: number) => v.setUint32(at, n, true) },
  i32: { bytes: 4, set: (v: DataView, at: number, n: number) => v.setInt32(at, n, true) },
  f32: { bytes: 4, set: (v: DataView, at: number, n: number) => v.setFloat32(at, n, true) },
  f64: { bytes: 8, set: (v: DataView, at: number, n: number) => v.setFloat64(at, n, true) },
};
const utf8 = new TextEncoder();

/** Little-endian values into a buffer that grows. */
class HeaderWriter {
  #view = new DataView(new ArrayBuffer(2 ** 16));
  #at = 0;

  u32(n: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, n, true);
  }
  u64(n: bigint): void {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, n), true);
  }
  /** Returns the length in bytes. */
  string(text: string): number {
    const bytes = utf8.encode(text);
    this.u64(BigInt(bytes.length));
    const at = this.#room(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
    return bytes.length;
  }
  value(v: GgufValue): void {
    if (v.type === "array") this.#array(v);
    else this.#scalar(v.type, v.value);
  }
  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, 0, this.#at);
  }

  #array(v: GgufArray): void {
    this.u32(valueTypes.indexOf(v.of));
    this.u64(BigInt(v.value.length));
    if (v.of === "array") for (const inner of v.value) this.#array(inner);
    else for (const element of v.value) this.#scalar(v.of, element);
  }
  #scalar(type: Exclude<GgufType, "array">, value: number | bigint | boolean | string): void {
    if (type === "string") this.string(String(value));
    else if (type === "bool") {
      const at = this.#room(1);
      this.#view.setUint8(at, value ? 1 : 0);
    } else if (type === "u64" || type === "i64") this.u64(BigInt(value));
    else {
      const { bytes, set } = fixed[type];
      const at = this.#room(bytes);
      set(this.#view, at, Number(value));
    }
  }

  /** Position of the next `n` bytes. May replace the view: ask for room first. */
  #room(n: number): number {
    const at = this.#at;
    this.#at += n;
    if (this.#at > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(2 * this.#view.byteLength, this.#at));
      grown.set(new Uint8Array(this.#view.buffer, 0, at));
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
