import { AttrError, type KvFormat, kvCodec, kvCodecNamed, kvFormatBytes, kvFormatCodec, kvFormats, parseKvFormat } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

const untyped = (v: unknown): never => v as never;

describe("KV formats", () => {
  test("every format is its own name", () => {
    expect(kvFormats).toMatchInlineSnapshot(`
      [
        "f32",
        "f16",
        "bf16",
        "q8_0",
        "mlx-native-v1:4",
        "mlx-native-v1:5",
        "mlx-native-v1:6",
        "mlx-native-v1:8",
        "lloyd-max-v2:4",
        "lloyd-max-v2:5",
        "lloyd-max-v2:6",
        "lloyd-max-v2:8",
      ]
    `);
    for (const format of kvFormats) expect(parseKvFormat(format)).toBe(format);
  });

  test("short names", () => {
    expect(["tq8", "tq6", "tq5", "tq4"].map(parseKvFormat)).toEqual([
      "lloyd-max-v2:8",
      "lloyd-max-v2:6",
      "lloyd-max-v2:5",
      "lloyd-max-v2:4",
    ]);
  });

  test("bytes of a vector", () => {
    const bytes = (headDim: number): number[] =>
      (["f32", "f16", "bf16", "q8_0", "lloyd-max-v2:8", "lloyd-max-v2:4"] satisfies KvFormat[]).map((f) => kvFormatBytes(f, headDim));
    expect(bytes(128)).toEqual([512, 256, 256, 136, 132, 68]);
    expect(bytes(48)).toEqual([192, 96, 96, 68, 52, 28]);
    expect(kvFormatBytes("mlx-native-v1:5", 256)).toBe(260);
  });

  test("codecs", () => {
    expect(kvFormatCodec("f16", 100)).toBeUndefined();
    expect(kvFormatCodec("lloyd-max-v2:6", 96)).toEqual(kvCodec("lloyd-max-v2", 6, 96));
  });

  test("errors", () => {
    for (const text of ["tq7", "toString", "F16", "", "lloyd-max-v2:7", " f16"]) expect(() => parseKvFormat(text)).toThrow(AttrError);
    expect(() => parseKvFormat("tq7")).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [kv_format] format: expected one of f32, f16, bf16, q8_0, mlx-native-v1:4, mlx-native-v1:5, mlx-native-v1:6, mlx-native-v1:8, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8, tq8, tq6, tq5, tq4, got tq7]`,
    );
    expect(() => parseKvFormat(untyped(8))).toThrow(AttrError);
    expect(() => kvCodecNamed("attention", "kCodec", "tq4", 64)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [attention] kCodec: expected one of mlx-native-v1:4, mlx-native-v1:5, mlx-native-v1:6, mlx-native-v1:8, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8, got tq4]`,
    );
    expect(() => kvCodecNamed("attention", "kCodec", "lloyd-max-v2:4", 100)).toThrowErrorMatchingInlineSnapshot(
      `[AttrError: [attention] headDim: expected one of 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512 for lloyd-max-v2, got 100]`,
    );
    expect(() => kvFormatBytes("mlx-native-v1:4", 128)).toThrow(AttrError);
    for (const headDim of [0, 1.5, -1, Number.NaN, 2 ** 53]) expect(() => kvFormatBytes("f16", headDim)).toThrow(AttrError);
  });
});
