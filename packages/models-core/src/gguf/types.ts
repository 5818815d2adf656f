import type { DType } from "@rlxjs/ir";

/** Tensor types by their number in files. Those without a dtype are listed, but cannot be read. */
export interface GgmlType {
  readonly id: number;
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly dtype: DType | undefined;
}

const type = (id: number, name: string, blockSize: number, blockBytes: number, dtype?: DType): GgmlType => ({
  id,
  name,
  blockSize,
  blockBytes,
  dtype,
});

const all: readonly GgmlType[] = [
  type(0, "F32", 1, 4, "f32"),
  type(1, "F16", 1, 2, "f16"),
  type(2, "Q4_0", 32, 18, "q4_0"),
  type(3, "Q4_1", 32, 20),
  type(6, "Q5_0", 32, 22),
  type(7, "Q5_1", 32, 24),
  type(8, "Q8_0", 32, 34, "q8_0"),
  type(9, "Q8_1", 32, 36),
  type(10, "Q2_K", 256, 84),
  type(11, "Q3_K", 256, 110),
  type(12, "Q4_K", 256, 144, "q4_k"),
  type(13, "Q5_K", 256, 176, "q5_k"),
  type(14, "Q6_K", 256, 210, "q6_k"),
  type(15, "Q8_K", 256, 292),
  type(16, "IQ2_XXS", 256, 66),
  type(17, "IQ2_XS", 256, 74),
  type(18, "IQ3_XXS", 256, 98),
  type(19, "IQ1_S", 256, 50),
  type(20, "IQ4_NL", 32, 18),
  type(21, "IQ3_S", 256, 110),
  type(22, "IQ2_S", 256, 82),
  type(23, "IQ4_XS", 256, 136),
  type(24, "I8", 1, 1, "i8"),
  type(25, "I16", 1, 2, "i16"),
  type(26, "I32", 1, 4, "i32"),
  type(27, "I64", 1, 8, "i64"),
  type(28, "F64", 1, 8, "f64"),
  type(29, "IQ1_M", 256, 56),
  type(30, "BF16", 1, 2, "bf16"),
  type(34, "TQ1_0", 256, 54),
  type(35, "TQ2_0", 256, 66),
  type(39, "MXFP4", 32, 17),
];

export const ggmlTypeById: ReadonlyMap<number, GgmlType> = new Map(all.map((t) => [t.id, t]));
export const ggmlTypeOf: ReadonlyMap<DType, GgmlType> = new Map(all.flatMap((t): [DType, GgmlType][] => (t.dtype ? [[t.dtype, t]] : [])));

/** Alignment of tensor data where `general.alignment` does not say otherwise. */
export const defaultAlignment = 32;
/** ggml's tensors have at most four axes. */
export const maxRank = 4;
/** The longest metadata key, in bytes. */
export const maxKeyBytes = 65535;
