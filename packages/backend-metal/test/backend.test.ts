import { loadMetalAddon } from "@rlxjs/backend-metal";
import { define, dim, Tensor } from "@rlxjs/ir";
import { registeredDevices, Session, UnsupportedOpsError } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { createVariant, describeOnMetal, expectNoFaults, openSession, strictest } from "./variants.ts";

const { addon } = loadMetalAddon();

describeOnMetal("the device", () => {
  test("says what it is", async () => {
    using session = await openSession(strictest);
    const { description, kernelLibrary, ...info } = session.info;
    expect(info).toEqual({ device: "metal", threads: 1 });
    if (addon?.software) expect(description).toBe("software Metal, for testing");
    expect(kernelLibrary).toMatch(/^metal-\d+\.\d+\.\d+-[0-9a-f]{16}$/);
    expect(registeredDevices()).toContain("metal");
  });

  test("options that are of the CPU are refused", async () => {
    await expect(Session.open({ device: "metal", kernels: "reference" })).rejects.toThrow(
      'kernels: expected "native" or nothing for device "metal", got "reference": references run on device "cpu"',
    );
    await expect(Session.open({ device: "metal", threads: 2 })).rejects.toThrow(
      'threads: expected nothing for device "metal", which computes on the GPU, got 2',
    );
  });

  test("weights are used as they are stored", async () => {
    using backend = createVariant(strictest);
    const weight = Tensor.zeros("f32", [2, 3]);
    const message = 'weight f32[2,3]: the metal backend has no layout "rows16"';
    expect(() => backend.packSync(weight, "rows16")).toThrow(message);
    await expect(backend.pack(weight, "rows16")).rejects.toThrow(message);
  });

  test("what no kernel takes is refused when a graph is compiled, whatever the options say: nothing runs on the CPU", async () => {
    using session = await openSession(strictest);
    const graph = define("doubles", (g) => {
      const x = g.input("x", "f64", [4]);
      return { y: g.exp(g.neg(x)), z: g.neg(g.mul(x, x)) };
    });
    const refused = session.compile(graph, { passes: { fuse: false, forbidReference: false } });
    await expect(refused).rejects.toThrow(UnsupportedOpsError);
    await expect(refused).rejects.toThrowErrorMatchingInlineSnapshot(`
      [UnsupportedOpsError: graph "doubles": the backend cannot run 4 of its nodes:
        2 x neg: metal has no f64; it has no decomposition
        exp: metal has no f64; it has no decomposition
        square: metal has no f64; it has no decomposition]
    `);
  });

  test("what no kernel takes is decomposed where it can be", async () => {
    using session = await openSession(strictest);
    const graph = define("wide heads", (g) => {
      const q = g.input("q", "f32", [1, 2, 520]);
      return {
        y: g.attention(q, g.input("k", "f32", [1, 3, 520]), g.input("v", "f32", [1, 3, 520]), { numHeads: 1, numKvHeads: 1, headDim: 520 }),
      };
    });
    using compiled = await session.compile(graph);
    expect(compiled.dispatchReport.decomposed.map((d) => `${d.op}: ${d.reason}`)).toEqual(["attention: heads wider than 512"]);
    const ones = (n: number): Float32Array<ArrayBuffer> => new Float32Array(n).fill(1);
    const { y } = await compiled.run({ inputs: { q: ones(1040), k: ones(1560), v: ones(1560) } });
    expect(new Set(y.toArray())).toEqual(new Set([1]));
    expectNoFaults();
  });

  test("one program for every extent: broadcast operands, one element per thread or several", async () => {
    using session = await openSession(strictest);
    const rows = dim("rows", { min: 0, max: 60_000 });
    const graph = define("any rows", (g) => {
      const x = g.input("x", "f16", [2, rows, 3]);
      const scaled = g.mul(x, g.input("row", "f16", [rows, 1]));
      return { y: g.add(scaled, g.input("column", "f16", [3])) };
    });
    using compiled = await session.compile(graph);
    expect(compiled.program.steps).toHaveLength(1);
    for (const n of [60_000, 20_000, 0, 1, 257]) {
      const counted = (shape: readonly number[], modulus: number): Tensor => {
        const count = shape.reduce((a, b) => a * b, 1);
        return Tensor.from(
          "f16",
          shape,
          Array.from({ length: count }, (_, i) => i % modulus),
        );
      };
      const inputs = { x: counted([2, n, 3], 7), row: counted([n, 1], 5), column: counted([3], 3) };
      const { y } = await compiled.run({ inputs });
      const expected = Array.from({ length: 6 * n }, (_, i) => (i % 7) * ((Math.floor(i / 3) % n) % 5) + (i % 3));
      expect(y.toArray()).toEqual(expected);
    }
    expectNoFaults();
  });
});
