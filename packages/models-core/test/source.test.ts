import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { blobSource, type ByteSource, memorySource, ModelFileError, readJson } from "../src/index.ts";
import { openDirectory, openFile, writeFileAtomically } from "../src/node/files.ts";

const scratch = mkdtempSync(join(tmpdir(), "rlxjs-source-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
const file = join(scratch, "bytes.bin");
writeFileSync(file, bytes);

describe.each<[string, () => Promise<ByteSource>]>([
  ["memory", async () => memorySource("bytes.bin", bytes)],
  ["a Blob", async () => blobSource("bytes.bin", new Blob([bytes]))],
  ["a file", () => openFile(file)],
  [
    "a mapped file",
    () =>
      openFile(file, (name) => {
        const all = Uint8Array.from(readFileSync(name));
        return { size: all.length, view: (offset, length) => all.subarray(offset, offset + length), [Symbol.dispose]() {} };
      }),
  ],
])("bytes of %s", (_what, open) => {
  it("are read by range", async () => {
    using s = await open();
    expect(s.size).toBe(100);
    expect([...(await s.read(98, 2))]).toEqual([98, 99]);
    expect([...(await s.read(100, 0))]).toEqual([]);
    if (s.view) expect([...s.view(1, 2)]).toEqual([1, 2]);
  });
  it("outside the file are an error", async () => {
    using s = await open();
    for (const [offset, length] of [
      [0, 101],
      [100, 1],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [2 ** 53, 1],
      [0, Number.NaN],
    ] as const) {
      await expect(Promise.resolve().then(() => s.read(offset, length))).rejects.toThrow(ModelFileError);
      if (s.view) expect(() => s.view?.(offset, length)).toThrow(ModelFileError);
    }
  });
});

describe("files", () => {
  it("that are not there, or are something else, are errors", async () => {
    await expect(openFile(join(scratch, "none"))).rejects.toThrow(/expected a file, got nothing/);
    await expect(openFile(scratch)).rejects.toThrow(/expected a file, got a directory/);
    await expect(openDirectory(file)).rejects.toThrow(/expected a directory, got a file/);
  });
  it("of a directory are opened by plain names only", async () => {
    const dir = await openDirectory(scratch);
    using found = await dir.open("bytes.bin");
    expect(found?.size).toBe(100);
    expect(await dir.open("none")).toBeUndefined();
    for (const name of ["../secret", "..", ".", "/etc/passwd", "a/b"]) await expect(dir.open(name)).rejects.toThrow(ModelFileError);
  });
  it("that were cut while open are an error, not zeros", async () => {
    const cut = join(scratch, "cut.bin");
    writeFileSync(cut, bytes);
    using s = await openFile(cut);
    writeFileSync(cut, bytes.subarray(0, 10));
    await expect(s.read(0, 100)).rejects.toThrow(/now ends at 10/);
  });
  it("are written whole or not at all", async () => {
    const out = join(scratch, "out.bin");
    writeFileSync(out, "before");
    const failing = writeFileAtomically(out, async (sink) => {
      await sink.write(bytes);
      throw new ModelFileError({ file: "x", expected: "a", given: "b" });
    });
    await expect(failing).rejects.toThrow(ModelFileError);
    expect(readFileSync(out).toString()).toBe("before");
    const result = await writeFileAtomically(out, async (sink) => {
      await sink.write(bytes);
      return 7;
    });
    expect(result).toBe(7);
    expect(Uint8Array.from(readFileSync(out))).toEqual(bytes);
  });
});

describe("JSON files", () => {
  const parse = (text: string) => readJson(memorySource("a.json", Uint8Array.from(Buffer.from(text))));
  it("are objects with each key once", async () => {
    expect(await parse('{"a": {"b": 1}, "c": [{"b": 2}, {"b": "a\\"b"}]}')).toEqual({ a: { b: 1 }, c: [{ b: 2 }, { b: 'a"b' }] });
    await expect(parse('{"a": 1, "b": {"c": 1, "c": 2}}')).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ModelFileError: a.json: "c": expected each key once, got the key twice]`,
    );
    await expect(parse("[1]")).rejects.toThrowErrorMatchingInlineSnapshot(`[ModelFileError: a.json: expected a JSON object, got "[1]"]`);
    for (const text of ["{", '{"a', '{"a\\', '{"\\x": 1}', '{"a": 1', ""]) await expect(parse(text), text).rejects.toThrow(ModelFileError);
  });
  it("are not deep", async () => {
    await expect(parse(`{"a": ${"[".repeat(1e6)}${"]".repeat(1e6)}}`)).rejects.toThrow(/at most 100 deep/);
  });
  it("cannot reach an object's prototype", async () => {
    const value = await parse('{"__proto__": {"polluted": true}}');
    expect(Reflect.get({}, "polluted")).toBeUndefined();
    expect(Object.keys(value)).toEqual(["__proto__"]);
  });
});
