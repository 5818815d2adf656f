import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { NativeAddon, platformPackage } from "@rlxjs/runtime/node";
import { afterAll, expect, test } from "vitest";

const root = mkdtempSync(join(tmpdir(), "rlxjs-addon-"));
afterAll(() => rmSync(root, { recursive: true }));
const owner = join(root, "owner");
const from = pathToFileURL(join(owner, "dist", "addon.js")).href;
const built = join(owner, "build", "Release", "x.node");
const packaged = join(root, "node_modules", platformPackage);
const open = () => new NativeAddon<object>({ file: "x.node", from });

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

test("an addon is that of the build, else that of the platform's package; otherwise the reason says where it was looked for", () => {
  expect(open().load()).toEqual({ reason: `${built} does not exist, and ${platformPackage} is not installed` });
  put(join(packaged, "package.json"), "{}");
  expect(open().load()).toEqual({ reason: `${built} does not exist, and ${platformPackage} has no x.node` });
  // What is no shared object is refused by the system, by its name.
  put(join(packaged, "x.node"), "prebuilt");
  expect(open().load().reason).toContain(join(packaged, "x.node"));
  put(built, "built");
  expect(open().load().reason).toContain(built);
});

test("another build is the only place then, and has to be chosen before the addon is used", () => {
  const addon = open();
  addon.useBuild(root);
  expect(addon.load()).toEqual({ reason: `${join(root, "x.node")} does not exist` });
  addon.useBuild(root);
  expect(() => addon.useBuild(owner)).toThrow(`native build ${owner}: the addon of ${root} is loaded already`);
});
