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
  const problems: unknown[] = [];
  const say = async (): Promise<readonly number[]> => {
    using model = await loadModel(join(root, demo), { programCache, onProgramCacheProblem: (error) => problems.push(error) });
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
  expect(problems).toEqual([]);
  const damaged = files[0]?.[0] ?? "none";
  writeFileSync(join(programCache, damaged), "damaged");
  expect(await say()).toEqual(ids);
  expect(readFileSync(join(programCache, damaged)).length, "a damaged file is replaced").toBeGreaterThan(1000);
  expect(problems).toHaveLength(1);
});

test("--program-cache keeps graphs from one command to the next", async () => {
  const directory = join(dir, "cli");
  const args = ["run", demo, "-p", "Once upon a time", "-n", "8", "--json", "--program-cache", directory];
  const first = await rlxjs(args);
  expect(first).toMatchObject({ code: 0 });
  const files = contents(directory);
  const second = await rlxjs(args);
  expect(JSON.parse(second.stdout).ids).toEqual(JSON.parse(first.stdout).ids);
  expect([second.stderr, contents(directory)]).toEqual([first.stderr, files]);
  writeFileSync(join(directory, files[0]?.[0] ?? "none"), "damaged");
  const third = await rlxjs(args);
  expect(JSON.parse(third.stdout).ids).toEqual(JSON.parse(first.stdout).ids);
  expect(third.stderr).toContain("rlxjs: cached program: expected at least 48 bytes");
});
