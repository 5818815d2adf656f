import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { describeWithToolchain } from "../../../native/softmetal/test/toolchain.ts";

const script = fileURLToPath(new URL("../../../scripts/check-apple-abi.mjs", import.meta.url));
const host = fileURLToPath(new URL("../../../native/metal", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "rlxjs-"));
afterAll(() => rmSync(folder, { recursive: true }));

function check(...files: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [script, ...files], { encoding: "utf8" });
}
/** The first error about a file with this text, in both SDKs. */
function planted(text: string): string | undefined {
  const file = join(folder, "planted.mm");
  writeFileSync(file, `#include "objects.h"\n${text}\n`);
  const { status, stderr } = check(file);
  expect(status).toBe(1);
  return /error: (.*)/.exec(stderr)?.[1];
}

describeWithToolchain("the host for Apple's ABI", () => {
  test("every file compiles", () => {
    const { status, stdout, stderr } = check();
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const files = readdirSync(host).filter((name) => name.endsWith(".mm"));
    expect(files.length).toBeGreaterThan(3);
    for (const name of files) expect(stdout).toContain(`${name}: compiles for arm64 macOS, SDK of macOS 13`);
  });

  test("planted mistakes are errors", () => {
    expect(planted("size_t f(id<MTLBuffer> b) { return b.size; }")).toContain("property 'size' not found");
    expect(planted("void f(id<MTLResidencySet> s) { [s commit]; }")).toContain("is only available on macOS 15.0 or newer");
    expect(planted("id f(void* p) { return (id)p; }")).toContain("requires a bridged cast");
    expect(planted("int f(bool b) { if (b) return 1; }")).toContain("non-void function does not return a value");
  });
});
