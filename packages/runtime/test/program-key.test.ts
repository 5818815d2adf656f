import { define, type Graph, Tensor } from "@rlxjs/ir";
import { defaultPassOptions, runAtOnce } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import type { DeviceInfo } from "../src/backend.ts";
import { programKey } from "../src/program-cache/key.ts";
import { libraryVersion } from "../src/version.ts";

const info: DeviceInfo = { device: "cpu", description: "a", threads: 1, kernelLibrary: "native-avx2-1" };
const graph = (name = "g", factor = 2): Graph =>
  define(name, (g) => ({ y: g.mul(g.input("x", "f32", [2]), g.constant(Tensor.from("f32", [1], [factor]))) }));
const digest = (...[g, device, passes]: Parameters<typeof programKey>): string => runAtOnce(programKey(g, device, passes)).digest;

test("the key of a compiled form depends on graph, device, kernel library and every option, not on what is for people", () => {
  const key = digest(graph(), info, {});
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(digest(graph(), { ...info, description: "b", threads: 8 }, { ...defaultPassOptions })).toBe(key);
  const options = Object.entries(defaultPassOptions).map(([name, value]) => ({ [name]: typeof value === "boolean" ? !value : value + 1 }));
  const keys = [
    key,
    digest(graph("other"), info, {}),
    digest(graph("g", 3), info, {}),
    digest(graph(), { ...info, device: "metal" }, {}),
    digest(graph(), { ...info, kernelLibrary: "native-avx512-1" }, {}),
    ...options.map((passes) => digest(graph(), info, passes)),
  ];
  expect(options.length).toBeGreaterThan(2);
  expect(new Set(keys).size).toBe(keys.length);
});

test("the key says which version of the library it is of", () => {
  expect(JSON.parse(runAtOnce(programKey(graph(), info, {})).text)).toContain(libraryVersion);
});
