// The cache of compiled kernels, with processes that fill it at the same time.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { compile } from "../tool/compile.mjs";
import { hostArchitecture, newestVersion } from "../tool/flags.mjs";
import { compileText } from "../tool/serve.mjs";
import { describeWithToolchain } from "./toolchain.ts";

const folder = mkdtempSync(join(tmpdir(), "softmetal-cache-"));
const cache = join(folder, "cache");
const source = join(folder, "k.metal");
const tool = fileURLToPath(new URL("../tool/main.mjs", import.meta.url));
afterAll(() => rmSync(folder, { recursive: true }));

const write = (value: number): void => {
  writeFileSync(join(folder, "value.h"), `#define VALUE ${value}\n`);
  writeFileSync(source, '#include "value.h"\nkernel void k(device float *o [[buffer(0)]]) { *o = VALUE; }\n');
};

describeWithToolchain("the cache of compiled kernels", () => {
  test("processes that compile the same file at the same time get the same library", async () => {
    write(1);
    mkdirSync(cache);
    const runs = await Promise.all([0, 1, 2].map(() => promisify(execFile)(process.execPath, [tool, source, "--cache", cache])));
    const paths = new Set(runs.map(({ stdout }) => stdout.trim()));
    expect(paths.size).toBe(1);
    const all = readdirSync(cache, { recursive: true }).map(String);
    expect(all.filter((name) => name.endsWith(".so"))).toHaveLength(1);
    expect(all.filter((name) => /(^|\/)\./.test(name))).toEqual([]);
  });

  test("what has not changed is not compiled again; a changed include, flag or build is", async () => {
    const first = await compile(source, { cache });
    const time = statSync(String(first.library)).mtimeMs;
    expect((await compile(source, { cache })).library).toBe(first.library);
    expect(statSync(String(first.library)).mtimeMs).toBe(time);
    write(2);
    const second = await compile(source, { cache });
    const third = await compile(source, { cache, define: ["X"] });
    expect(second.library).not.toBe(first.library);
    expect(third.library).toBe(second.library); // X is not used: the preprocessed source is the same
    expect(dirname(String(second.library))).toBe(dirname(String(first.library)));
  });

  test("the server knows a text again without a compiler, unless it includes files", async () => {
    const request = { id: 1, name: "text", check: false, define: [], architecture: hostArchitecture(), version: newestVersion };
    const text = { ...request, source: "kernel void k(device float *o [[buffer(0)]]) { *o = 3; }\n" };
    const including = {
      ...request,
      source: `#include "${join(folder, "value.h")}"\nkernel void k(device float *o [[buffer(0)]]) { *o = VALUE; }\n`,
    };
    const { library } = await compileText(text, cache);
    expect((await compileText(including, cache)).library).toBeDefined();
    const { PATH } = process.env;
    process.env.PATH = "";
    try {
      expect(await compileText(text, cache)).toEqual({ library, log: "" });
      await expect(compileText({ ...text, check: true }, cache)).rejects.toThrow("clang-19 cannot be run");
      await expect(compileText(including, cache)).rejects.toThrow("clang-19 cannot be run");
    } finally {
      process.env.PATH = PATH;
    }
  });

  test("a source that is no file is named in errors", async () => {
    const { library, log } = await compile("made.metal", {
      cache,
      source: "kernel void k(device float *o [[buffer(0)]]) {\n  *o =  nothing;\n}\n",
    });
    expect(library).toBeUndefined();
    expect(log).toBe("made.metal:2:9: error: use of undeclared identifier 'nothing'\n  *o =  nothing;\n        ^\n");
  });
});
