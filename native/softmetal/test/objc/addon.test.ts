// Software Metal inside of Node: its symbols are hidden, its signal handlers share the process with V8's, its tool does not outlive it.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { buildHost } from "../../tool/driver.mjs";
import { describeWithToolchain } from "../toolchain.ts";
import { buildTimeout } from "./program.ts";

// V8 finds out by a signal that WebAssembly reads beyond its memory: (memory 1) (func (export "load") (param i32) (result i32) local.get 0 i32.load)
const script = `
const bytes = [0,97,115,109,1,0,0,0, 1,6,1,96,1,127,1,127, 3,2,1,0, 5,3,1,0,1, 7,8,1,4,108,111,97,100,0,0, 10,9,1,7,0,32,0,40,2,0,11];
const { load } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes))).exports;
const beyond = () => { try { return load(1 << 20); } catch (error) { return error.message; } };
const addon = { exports: {} };
console.log(beyond());
process.dlopen(addon, process.argv[1]);
console.log(addon.exports);
console.log(beyond());
`;

describeWithToolchain("an addon", () => {
  let file = "";
  beforeAll(async () => {
    file = await buildHost(fileURLToPath(new URL("programs/addon.mm", import.meta.url)), { shared: true });
  }, buildTimeout);

  test("runs kernels, survives their faults, leaves V8 its own and ends with the process", () => {
    // Returns when nobody holds the output any more: the tool's process does, too.
    const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", script, file], { encoding: "utf8" });
    expect([stdout.trim().split("\n"), stderr, status]).toEqual([
      [
        "memory access out of bounds",
        "done",
        "bounds, kernel k, program_source:1: access at byte 64 of a buffer of 64 bytes by thread (0,0,0) of threadgroup (0,0,0)",
        "memory access out of bounds",
      ],
      "",
      0,
    ]);
  });
});
