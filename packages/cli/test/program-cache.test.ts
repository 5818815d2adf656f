import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@rlxjs/models-core/node";
import { afterAll, expect, test } from "vitest";
import { demo, rlxjs, root } from "./cli.ts";
import "@rlxjs/backend-cpu";

const dir = mkdtempSync(join(tmpdir(), "rlxjs-programs-"));
afterAll(() => rmSync(dir, { recursive: true }));

const contents = (path: string): [name: string, bytes: string][] =>
  readdirSync(path).map((name) => [name, readFileSync(join(path, name)).toString("hex")]);

test("a model that is loaded again takes its graphs from the directory, and says the same", async () => {
  const programCache = join(dir, "loaded");
  const say = async (): Promise<readonly number[]> => {
    using model = await loadModel(join(root, demo), { programCache });
    const ids: number[] = [];
    for await (const piece of model.generate("Once upon a time", { maxTokens: 12 })) ids.push(...piece.ids);
    return ids;
  };
  const ids = await say();
  const files = contents(programCache);
  expect(ids).toHaveLength(12);
  expect(files.length).toBeGreaterThan(1);
  expect(await say()).toEqual(ids);
  expect(contents(programCache), "nothing was compiled anew").toEqual(files);
  const damaged = files[0]?.[0] ?? "none";
  writeFileSync(join(programCache, damaged), "damaged");
  expect(await say()).toEqual(ids);
  expect(readFileSync(join(programCache, damaged)).length, "a damaged file is replaced").toBeGreaterThan(1000);
});

test("--program-cache keeps graphs from one command to the next", async () => {
  const directory = join(dir, "cli");
  const args = ["run", demo, "-p", "Once upon a time", "-n", "8", "--json", "--program-cache", directory];
  const first = await rlxjs(args);
  expect(first).toMatchObject({ code: 0 });
  const files = contents(directory);
  const second = await rlxjs(args);
  expect(JSON.parse(second.stdout).ids).toEqual(JSON.parse(first.stdout).ids);
  expect(contents(directory)).toEqual(files);
});
