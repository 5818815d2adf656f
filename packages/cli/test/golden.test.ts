import "@rlxjs/backend-cpu";
import { describe, test } from "vitest";
import { expectGoldenDecoder, expectGoldenEncoder, goldenDecoders } from "./golden.ts";

describe.each(["native", "reference"] as const)("%s kernels", (kernels) => {
  test.each(goldenDecoders)("%s: logits of Hugging Face transformers, by prefill and by decode", (name) =>
    expectGoldenDecoder(name, { kernels }, 1e-3),
  );

  test("bert-encoder: hidden states and means, whatever else is in the batch", () => expectGoldenEncoder({ kernels }, 1e-4));
});
