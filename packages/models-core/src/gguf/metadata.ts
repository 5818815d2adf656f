import { ModelFileError, show } from "../errors.ts";

/** Value types in the order of their numbers in files. */
export const valueTypes = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"] as const;
export type GgufType = (typeof valueTypes)[number];
type SmallNumber = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "f64";

/** A typed metadata value. 64-bit integers are numbers where that is exact, else bigints. */
export type GgufValue =
  | { readonly type: SmallNumber; readonly value: number }
  | { readonly type: "u64" | "i64"; readonly value: number | bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | GgufArray;

export type GgufArray = { readonly type: "array" } & (
  | { readonly of: SmallNumber; readonly value: NumberArray }
  | { readonly of: "u64" | "i64"; readonly value: BigUint64Array | BigInt64Array }
  | { readonly of: "bool"; readonly value: readonly boolean[] }
  | { readonly of: "string"; readonly value: readonly string[] }
  | { readonly of: "array"; readonly value: readonly GgufArray[] }
);
export type NumberArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

const smallNumbers: ReadonlySet<GgufType> = new Set(["u8", "i8", "u16", "i16", "u32", "i32", "f32", "f64"]);
const isNumberArray = (v: GgufArray): v is Extract<GgufArray, { of: SmallNumber }> => smallNumbers.has(v.of);

/** Metadata of a GGUF file. A getter returns undefined for a key that is not there, and throws when its value has another type. */
export class GgufMetadata {
  readonly file: string;
  readonly values: ReadonlyMap<string, GgufValue>;
  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.values = values;
  }

  string(key: string): string | undefined {
    const v = this.values.get(key);
    return v === undefined || v.type === "string" ? v?.value : this.#fail(key, "a string", v);
  }
  boolean(key: string): boolean | undefined {
    const v = this.values.get(key);
    return v === undefined || v.type === "bool" ? v?.value : this.#fail(key, "a bool", v);
  }
  /** Any numeric type; an integer beyond 2^53 is an error here. */
  number(key: string): number | undefined {
    const v = this.values.get(key);
    if (v === undefined) return undefined;
    return typeof v.value === "number" ? v.value : this.#fail(key, "a number below 2^53", v);
  }
  strings(key: string): readonly string[] | undefined {
    const v = this.values.get(key);
    if (v === undefined) return undefined;
    return v.type === "array" && v.of === "string" ? v.value : this.#fail(key, "an array of strings", v);
  }
  /** An array of any numeric type of at most 32 bits, or f64. */
  numbers(key: string): NumberArray | undefined {
    const v = this.values.get(key);
    if (v === undefined) return undefined;
    return v.type === "array" && isNumberArray(v) ? v.value : this.#fail(key, "an array of numbers", v);
  }
  booleans(key: string): readonly boolean[] | undefined {
    const v = this.values.get(key);
    if (v === undefined) return undefined;
    return v.type === "array" && v.of === "bool" ? v.value : this.#fail(key, "an array of bools", v);
  }

  #fail(key: string, expected: string, v: GgufValue): never {
    const given = v.type === "array" ? `an array of ${v.value.length} ${v.of}` : `${v.type} ${show(v.value)}`;
    throw new ModelFileError({ file: this.file, tensor: key, expected, given });
  }
}
