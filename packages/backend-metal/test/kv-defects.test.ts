import { type AnyOpDef, type AttrRecord, checkAttrs, type DType, ops, Rng, randomTensor, runReference, Tensor } from "@rlxjs/ir";
import { lowerGraph } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { runOn } from "../../backend-cpu/test/every-backend.ts";
import { opGraph } from "../../backend-cpu/test/one-op.ts";
import { type Launch, metalKernels, type MetalKernel, planProgram } from "@rlxjs/backend-metal";
import { MetalError } from "../src/errors.ts";
import { withFault, withLaunches } from "./planted.ts";
import { createVariant, describeOnMetal, expectNoFaults, strictest, takeFaults } from "./variants.ts";

// Defects of the kernels that these ones come after: each check passes on ours and fails once the defect is planted.

const int = (value: number): Tensor => Tensor.from("i32", [], [value]);
const random = (dtype: DType, ...shape: readonly number[]): Tensor => randomTensor(new Rng(5), dtype, shape);

/** Whether an op leaves the reference's bytes in what it writes; software Metal stops a kernel that reads beyond its operands. */
function isRight(kernels: readonly MetalKernel[], def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord): boolean {
  using backend = createVariant(strictest, { metalKernels: kernels });
  const copy = () => slots.map((t) => t && Tensor.fromBytes(t.dtype, t.shape, t.bytes.slice()));
  const [actual, expected] = [copy(), copy()];
  const checked = checkAttrs(def, attrs);
  const written = (def.traits.writes ?? []).length;
  const outs = expected.slice(0, written).filter((t) => t instanceof Tensor);
  runReference(def, expected, checked, outs);
  try {
    runOn(backend)(def, actual, checked);
  } catch (error) {
    if (error instanceof MetalError) return false;
    throw error;
  }
  return outs.every((t, i) => Buffer.compare(t.bytes, actual[i]?.bytes ?? new Uint8Array()) === 0);
}

/** Launches of a step that writes so many tokens. */
function launchesFor(kernels: readonly MetalKernel[], def: AnyOpDef, slots: readonly (Tensor | undefined)[], attrs: AttrRecord): number {
  const graph = opGraph(def, [{ name: def.name, slots, attrs: checkAttrs(def, attrs) }]);
  return planProgram(lowerGraph(graph, { kernels, hoistWeights: false }), kernels).launches.filter(({ step }) => step === 0).length;
}

describeOnMetal("defects that are not there", () => {
  const heads = 2;
  const codec = { codec: "mlx-native-v1:4", headDim: 256, layout: "head" };
  const prefill: readonly (readonly [AnyOpDef, (tokens: number) => Tensor[], AttrRecord])[] = [
    [ops.kvWrite, (tokens) => [random("f16", 1, heads, 64, 8), random("f32", 1, tokens, heads * 8)], { layout: "head" }],
    [
      ops.kvWritePair,
      (tokens) => [...[0, 1].map(() => random("q8_0", 1, heads, 64, 32)), ...[0, 1].map(() => random("f32", 1, tokens, heads * 8))],
      { layout: "head", headDim: 8 },
    ],
    [
      ops.kvQuantize,
      (tokens) => [Tensor.zeros("u8", [1, heads, 64, 128]), Tensor.zeros("f32", [1, heads, 64, 1]), random("f32", 1, tokens, heads * 256)],
      codec,
    ],
    [
      ops.kvQuantizePair,
      (tokens) => [
        ...[0, 1].flatMap(() => [Tensor.zeros("u8", [1, heads, 64, 128]), Tensor.zeros("f32", [1, heads, 64, 1])]),
        ...[0, 1].map(() => random("f32", 1, tokens, heads * 256)),
      ],
      { kCodec: codec.codec, vCodec: codec.codec, headDim: 256, layout: "head" },
    ],
  ];
  const places = [int(0), undefined, undefined, undefined];

  test.each(prefill.map((all) => [all[0].name, ...all] as const))("one launch per prefilled token: %s", (_, def, operands, attrs) => {
    const sameForAll = (kernels: readonly MetalKernel[]): boolean => {
      const [one, many] = [1, 64].map((tokens) => launchesFor(kernels, def, [...operands(tokens), ...places], attrs));
      return one === 1 && many === 1;
    };
    expect(sameForAll(metalKernels)).toBe(true);
    // The third argument is the number of tokens.
    const perToken = withLaunches(def.name, (launch) => {
      const tokens = launch.args[2];
      return new Array<Launch>(tokens?.type === "uint" ? Number(tokens.value) : 0).fill(launch);
    });
    expect(sameForAll(perToken)).toBe(false);
    expect(isRight(metalKernels, def, [...operands(64), ...places], attrs)).toBe(true);
    expectNoFaults();
  });

  test("the start of a ring before it has wrapped", () => {
    const ring = random("f32", 1, 6, 3);
    const order = (kernels: readonly MetalKernel[], end: number): boolean =>
      isRight(kernels, ops.kvLinearizeRing, [Tensor.zeros("f32", [1, 6, 3]), ring, int(end), int(Math.min(end, 6))], {});
    // The slot behind the newest row is the oldest one only in a full ring.
    const faulty = withFault("kv_linearize_ring", "entry * args.end_stride)) - n + i", "entry * args.end_stride)) + i");
    for (const end of [6, 7, 11, 12]) expect(order(faulty, end)).toBe(true);
    for (const end of [1, 3, 5]) expect(order(faulty, end)).toBe(false);
    for (const end of [1, 3, 5, 6, 7, 11, 12]) expect(order(metalKernels, end)).toBe(true);
    expectNoFaults();
  });

  test.each(["f16", "bf16"] as const)("%s input to the kernel for f32", (dtype) => {
    const [x, cache] = [random(dtype, 1, 2, 32), random("f32", 1, 4, 32)];
    const store = [Tensor.zeros("u8", [1, 4, 16]), Tensor.zeros("f32", [1, 4, 1])];
    const write = (kernels: readonly MetalKernel[]): boolean => isRight(kernels, ops.kvWrite, [cache, x, ...places], {});
    const blocks = (kernels: readonly MetalKernel[]): boolean =>
      isRight(kernels, ops.kvWrite, [Tensor.zeros("q8_0", [1, 4, 32]), x, ...places], { headDim: 32 });
    const quantize = (kernels: readonly MetalKernel[]): boolean =>
      isRight(kernels, ops.kvQuantize, [...store, x, ...places], { codec: "lloyd-max-v2:4", headDim: 32 });
    for (const check of [write, blocks, quantize]) expect(check(metalKernels)).toBe(true);
    expectNoFaults();
    expect(write(withFault("kv_write", "load_quad(source.x, source.type,", "load_quad(source.x, F32,"))).toBe(false);
    expect(blocks(withFault("kv_write", "load_float(source.x, source.type,", "load_float(source.x, F32,"))).toBe(false);
    expect(quantize(withFault("kv_quantize", "load_float(x, type,", "load_float(x, F32,"))).toBe(false);
    takeFaults(); // twice the bytes were read
  });
});
