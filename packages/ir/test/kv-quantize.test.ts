import { dim, graphBuilder, namedInputs, runReference, Tensor } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import type { RunInto } from "./support/quantized.ts";
import { quantizedSuite } from "./support/quantized-suite.ts";

const reference: RunInto = (def, slots, attrs, outs) => {
  const named = namedInputs(def, slots);
  const written = ((def.traits.writes ?? []) as readonly string[]).map((name) => named[name]).filter((t) => t instanceof Tensor);
  runReference(def, slots, attrs, outs ?? written);
};

quantizedSuite(reference);

describe("what a graph refuses", () => {
  const g = graphBuilder("refused");
  const packed = g.state("packed", "u8", [1, 2, 8, 24]);
  const norms = g.state("norms", "f32", [1, 2, 8, 1]);
  const x = g.input("x", "f32", [1, 3, 96]);
  const pos = g.input("pos", "i32", []);
  const codec = { codec: "lloyd-max-v2:4", headDim: 48, layout: "head" } as const;

  test("operands and attributes that do not go together", () => {
    const fails = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        return String(error);
      }
      throw new Error("no error");
    };
    expect([
      fails(() => g.kvQuantize(norms, norms, x, pos, codec)),
      fails(() => g.kvQuantize(packed, packed, x, pos, codec)),
      fails(() => g.kvQuantize(packed, norms, x, pos, { ...codec, codec: "tq4" })),
      fails(() => g.kvQuantize(packed, norms, x, pos, { ...codec, headDim: 100 })),
      fails(() => g.kvQuantize(packed, norms, x, pos, { ...codec, codec: "lloyd-max-v2:8" })),
      fails(() => g.kvQuantize(packed, norms, x, pos, { ...codec, layout: "token" })),
      fails(() => g.kvQuantize(packed, norms, g.input("wide", "f32", [1, 3, 144]), pos, codec)),
      fails(() => g.kvQuantize(packed, norms, g.input("two", "f32", [2, 3, 96]), pos, codec)),
      fails(() => g.kvQuantize(packed, norms, x, pos, { ...codec, trim: true })),
      fails(() => g.kvQuantize(g.state("huge", "u8", [1, 2, 2 ** 27, 24]), norms, x, pos, codec)),
      fails(() => g.kvDequantize(packed, norms, pos, { ...codec, tokens: -1 })),
      fails(() => g.fwht(g.input("odd", "f32", [2, 100]))),
      fails(() => g.fwht(g.input("long", "f32", [2, 1024]), { signs: "before" })),
      fails(() => g.fwht(g.input("half", "f16", [2, 64]))),
      fails(() => g.fwht(g.input("open", "f32", [2, dim("n", { min: 1, max: 8 })]))),
    ]).toMatchInlineSnapshot(`
      [
        "ShapeError: [kv_quantize] operand "packed": expected a int dtype, got f32",
        "ShapeError: [kv_quantize] operand "norms": expected a float dtype, got u8",
        "AttrError: [kv_quantize] codec: expected one of mlx-native-v1:4, mlx-native-v1:5, mlx-native-v1:6, mlx-native-v1:8, lloyd-max-v2:4, lloyd-max-v2:5, lloyd-max-v2:6, lloyd-max-v2:8, got tq4",
        "AttrError: [kv_quantize] headDim: expected one of 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512 for lloyd-max-v2, got 100",
        "ShapeError: [kv_quantize] packed: expected [1, 2, 8, 48], got u8[1, 2, 8, 24]",
        "ShapeError: [kv_quantize] packed: expected 3 axes, got u8[1, 2, 8, 24]",
        "ShapeError: [kv_quantize] x: expected [1, 3, 96], got f32[1, 3, 144]",
        "ShapeError: [kv_quantize] x: expected the cache's 1 sequences (or slots that say which), got f32[2, 3, 96]",
        "AttrError: [kv_quantize] trim: expected ring: true beside it, only a ring drops tokens",
        "ShapeError: [kv_quantize] packed: expected fewer than 2^32 elements, got 6442450944 in u8[1, 2, 134217728, 24]",
        "AttrError: [kv_dequantize] attribute "tokens": expected an extent (a number >= 0 or a dim), got -1",
        "ShapeError: [fwht] x: expected a last extent that is a power of two, or 12 or 20 times one, got f32[2, 100]",
        "ShapeError: [fwht] x: expected a last extent that is a power of two, or 12 or 20 times one, up to 512, got f32[2, 1024]",
        "ShapeError: [fwht] x: expected f32, got f16[2, 64]",
        "ShapeError: [fwht] x: expected a last extent that is a power of two, or 12 or 20 times one, got f32[2, n]",
      ]
    `);
  });
});
