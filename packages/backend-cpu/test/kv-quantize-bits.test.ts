import { checkAttrs, ops, Tensor } from "@rlxjs/ir";
import { expect, test } from "vitest";
import { backends, runOn } from "./every-backend.ts";
import { OneOp } from "./one-op.ts";
import { kvBitsSuite } from "./suites/kv-bits.ts";

const natives = Object.entries(backends).filter(([name]) => name !== "reference");

kvBitsSuite(Object.fromEntries(natives.map(([name, backend]) => [name, runOn(backend)])));

test("rows that are longer than kernels take run on the reference", () => {
  const x = Tensor.zeros("f32", [1, 16384]);
  x.set(3, 1);
  for (const [, backend] of natives) {
    using one = new OneOp(backend, ops.fwht, { name: "long", slots: [x], attrs: checkAttrs(ops.fwht, {}) });
    expect(one.kernel).toBe("reference");
  }
});
