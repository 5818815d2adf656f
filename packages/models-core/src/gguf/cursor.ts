import { ModelFileError } from "../errors.ts";
import { decodeUtf8 } from "../source.ts";
import { type GgufArray, type GgufType, type GgufValue, type NumberArray, valueTypes } from "./metadata.ts";
import { maxKeyBytes } from "./types.ts";

/** Thrown when parsing reaches the end of what has been read so far, though not of the file. */
export class NeedMore extends Error {
  readonly end: number;
  constructor(end: number) {
    super("more of the file is needed");
    this.end = end;
  }
}

/** A header with tokenizer is tens of megabytes; beyond this the file is not believed. */
const maxHeaderBytes = 2 ** 30;
const maxArrayDepth = 4;
/** An empty array takes 12 bytes in a file and many more in memory. */
const maxArrays = 2 ** 16;

const readers = {
  u8: (v: DataView, at: number) => v.getUint8(at),
  i8: (v: DataView, at: number) => v.getInt8(at),
  u16: (v: DataView, at: number) => v.getUint16(at, true),
  i16: (v: DataView, at: number) => v.getInt16(at, true),
  u32: (v: DataView, at: number) => v.getUint32(at, true),
  i32: (v: DataView, at: number) => v.getInt32(at, true),
  f32: (v: DataView, at: number) => v.getFloat32(at, true),
  f64: (v: DataView, at: number) => v.getFloat64(at, true),
};
const arrays = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
};
/** Bytes of one value of each type; for strings and arrays the least that they can be. */
const leastBytes: Readonly<Record<GgufType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  f64: 8,
  u64: 8,
  i64: 8,
  bool: 1,
  string: 8,
  array: 12,
};

/** Reads a GGUF header from its first bytes. Every length is checked against the file's size before it is believed. */
export class Cursor {
  readonly file: string;
  at = 0;
  #arrays = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #size: number;

  /** `bytes` are the first of a file of `size` bytes. */
  constructor(file: string, bytes: Uint8Array, size: number) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#size = size;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4, "u32"), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8, "u64"), true);
  }

  /** A number of things of at least `each` bytes that follow; more than the file can hold is an error. */
  count(what: string, each: number, more = Number.MAX_SAFE_INTEGER): number {
    const n = this.u64();
    const limit = Math.min(more, Math.floor((this.#size - this.at) / each));
    if (n > BigInt(limit)) throw this.fail(what, `at most ${limit}, as the file has ${this.#size - this.at} bytes left`, `${n}`);
    return Number(n);
  }

  string(what: string, limit?: number): string {
    const n = this.count(`length of ${what}`, 1, limit);
    const from = this.#take(n, what);
    return decodeUtf8(this.file, this.#bytes.subarray(from, from + n), what);
  }
  key(): string {
    return this.string("metadata key", maxKeyBytes);
  }

  value(key: string): GgufValue {
    const type = this.#type(key);
    switch (type) {
      case "u64":
      case "i64":
        return { type, value: this.#integer(type, key) };
      case "bool":
        return { type, value: this.#bool(key) };
      case "string":
        return { type, value: this.string(key) };
      case "array":
        return this.#array(key, 1);
      default:
        return { type, value: readers[type](this.#view, this.#take(leastBytes[type], key)) };
    }
  }

  fail(what: string | undefined, expected: string, given: string): ModelFileError {
    return new ModelFileError({ file: this.file, tensor: what, expected, given });
  }

  #type(key: string): GgufType {
    const id = this.u32();
    const type = valueTypes[id];
    if (type === undefined) throw this.fail(key, `a value type of 0 to ${valueTypes.length - 1}`, `${id}`);
    return type;
  }
  #bool(key: string): boolean {
    const v = this.#view.getUint8(this.#take(1, key));
    if (v > 1) throw this.fail(key, "a bool of 0 or 1", `${v}`);
    return v === 1;
  }
  #integer(type: "u64" | "i64", key: string): number | bigint {
    const at = this.#take(8, key);
    const v = type === "u64" ? this.#view.getBigUint64(at, true) : this.#view.getBigInt64(at, true);
    const n = Number(v);
    return Number.isSafeInteger(n) ? n : v;
  }

  #array(key: string, depth: number): GgufArray {
    if (++this.#arrays > maxArrays) throw this.fail(key, `at most ${maxArrays} arrays`, "more");
    const of = this.#type(key);
    const n = this.count(`length of ${key}`, leastBytes[of]);
    switch (of) {
      case "string": {
        const value: string[] = [];
        for (let i = 0; i < n; i++) value.push(this.string(key));
        return { type: "array", of, value };
      }
      case "bool": {
        const value: boolean[] = [];
        for (let i = 0; i < n; i++) value.push(this.#bool(key));
        return { type: "array", of, value };
      }
      case "array": {
        if (depth >= maxArrayDepth) throw this.fail(key, `arrays nested at most ${maxArrayDepth} deep`, "more");
        const value: GgufArray[] = [];
        for (let i = 0; i < n; i++) value.push(this.#array(key, depth + 1));
        return { type: "array", of, value };
      }
      case "u64":
      case "i64": {
        const bytes = this.#copy(n * 8, key);
        return { type: "array", of, value: of === "u64" ? new BigUint64Array(bytes) : new BigInt64Array(bytes) };
      }
      default: {
        const bytes = this.#copy(n * leastBytes[of], key);
        const value: NumberArray = new arrays[of](bytes);
        return { type: "array", of, value };
      }
    }
  }

  /** An aligned copy; every platform that runs JavaScript engines is little-endian, as the file is. */
  #copy(length: number, what: string): ArrayBuffer {
    const from = this.#take(length, what);
    return Uint8Array.from(this.#bytes.subarray(from, from + length)).buffer;
  }

  #take(length: number, what: string): number {
    const from = this.at;
    const end = from + length;
    if (end > this.#size) throw this.fail(what, `${length} more bytes`, `the end of the file after ${this.#size - from}`);
    if (end > maxHeaderBytes) throw this.fail(what, `a header of at most ${maxHeaderBytes} bytes`, "more");
    if (end > this.#bytes.byteLength) throw new NeedMore(end);
    this.at = end;
    return from;
  }
}
