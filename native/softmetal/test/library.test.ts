// The shim's standard library, function by function.
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { bytesOf, execute, floats, kernelFile, kernelsOf, randomFloats } from "./machine.ts";
import { describeWithToolchain } from "./toolchain.ts";

/** Runs one thread or one simdgroup in the checked build and gives buffer `out`. */
async function outputOf(kernel: string, threads: number, bytes: number): Promise<Uint8Array> {
  const dispatches = [{ kernel, threadgroups: [1, 1, 1], size: [threads, 1, 1], buffers: { 0: "out" } }] as const;
  const { buffers, faults } = await execute({ source: kernelFile("library"), check: true, buffers: { out: bytes }, dispatches });
  expect(faults).toEqual([]);
  return buffers.out ?? new Uint8Array();
}

const words = (bytes: Uint8Array): number[] => [...new Uint32Array(Uint8Array.from(bytes).buffer)];

describeWithToolchain("the standard library of Metal", () => {
  test("a library lists its kernels by the host's names", async () => {
    expect(await kernelsOf(kernelFile("library"))).toEqual(["integers", "vectors", "roundings", "lanes"]);
    expect(await kernelsOf(kernelFile("attention_decode"))).toEqual(
      ["f16_d64", "bf16_d64", "f32_d128"].map((name) => `attention_decode_${name}`),
    );
  });

  test("integers", async () => {
    expect(words(await outputOf("integers", 1, 18 * 4))).toEqual([
      ...[31, 3, 8, 0x80000000, 0x18, 0xffffffff, 0x80000000, 0, 3, 0x12, 0xfffffffc, 0xff0, 0xfffffffe, 2, 7, 9, 20, 3],
    ]);
  });

  test("vectors", async () => {
    const expected = [3, 2, 1, 23, 14, 32, 5, 1, 4, 9, 1, 4, Math.fround(16.12), 6, 1, -1];
    expect([...floats(await outputOf("vectors", 1, 16 * 4))]).toEqual(expected);
  });

  test("half and bfloat round after every operation", async () => {
    const x = randomFloats(64, 8);
    const buffers = { x: bytesOf(x), halves: 128, bfloats: 128 };
    const bound = { 0: "x", 1: "halves", 2: "bfloats" };
    const dispatches = [{ kernel: "roundings", threadgroups: [1, 1, 1], size: [64, 1, 1], buffers: bound }] as const;
    const { buffers: out, faults } = await execute({ source: kernelFile("library"), check: true, buffers, dispatches });
    const half = (value: number): number => f16ToNumber(numberToF16(value));
    const bfloat = (value: number): number => bf16ToNumber(numberToBf16(value));
    expect(faults).toEqual([]);
    expect(out.halves).toEqual(bytesOf(Uint16Array.from(x, (value) => numberToF16(half(half(value) * 3) + half(Math.fround(0.1))))));
    expect(out.bfloats).toEqual(
      bytesOf(Uint16Array.from(x, (value) => numberToBf16(bfloat(bfloat(value) * 3) + bfloat(Math.fround(0.1))))),
    );
  });

  test("lanes", async () => {
    const sum = (n: number): number => (n * Math.abs(n - 1)) / 2;
    const multiplesOf3 = Array.from({ length: 32 }, (_, lane) => lane).filter((lane) => lane % 3 === 0);
    const rows: ((lane: number) => number)[] = [
      (lane) => sum(lane + 1),
      (lane) => sum(lane),
      (lane) => (lane < 3 ? lane : lane - 3),
      (lane) => (lane > 28 ? lane : lane + 3),
      (lane) => (lane + 29) % 32,
      (lane) => (lane + 3) % 32,
      () => multiplesOf3.reduce((bits, lane) => bits + 2 ** lane, 0),
      (lane) => 4 * (lane - (lane % 4)) + 6,
      (lane) => lane - (lane % 4) + 2,
      () => 1,
      (lane) => 5 + (lane === 0 ? 100 : 0),
      () => 2 + 0 + 31 + 32,
    ];
    const expected = rows.flatMap((row) => Array.from({ length: 32 }, (_, lane) => row(lane)));
    expect(words(await outputOf("lanes", 32, rows.length * 128))).toEqual(expected);
  });
});
