import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { define, printGraph } from "@rlxjs/ir";
import { afterAll, expect, test } from "vitest";
import { demo, rlxjs } from "./cli.ts";

const dir = mkdtempSync(join(tmpdir(), "rlxjs-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};
const good = file("good.txt", "1, 2 3\n");
const out = join(dir, "out.bin");
const ids = (content: string): string => file(`ids-${content.length}.txt`, content);
const logits = (idsFile: string, ...more: string[]): string[] => ["logits", demo, "--ids-file", idsFile, "--out", out, ...more];
const lone = file("lone.gguf", "this is not a model");

const cases: readonly [what: string, args: readonly string[], says: RegExp][] = [
  ["no such model", ["run", "nowhere.gguf", "-p", "x"], /nowhere\.gguf: expected a GGUF file/],
  ["not a model", ["run", lone, "-p", "x"], /lone\.gguf: expected/],
  ["a directory that holds none", ["run", dir, "-p", "x"], /expected a model directory with a config\.json/],
  ["no prompt", ["run"], /required option '-p, --prompt <text>'/],
  ["an empty prompt value", ["run", "-p"], /argument missing/],
  ["an unknown flag", ["run", "-p", "x", "--bogus"], /unknown option '--bogus'/],
  ["an unknown command", ["fly"], /unknown command 'fly'/],
  ["too many arguments", ["run", demo, "other", "-p", "x"], /too many arguments/],
  ["a count that is none", ["run", "-p", "x", "-n", "many"], /expected an integer >= 0, got "many"/],
  ["a negative count", ["run", "-p", "x", "-n", "-3"], /-n/],
  ["a temperature below 0", ["run", "-p", "x", "--temperature=-1"], /temperature: expected a number >= 0, got -1/],
  ["a top-p above 1", ["run", "-p", "x", "--top-p", "1.5"], /topP: expected a number in \(0, 1\], got 1\.5/],
  ["an unknown device", ["run", "-p", "x", "--device", "abacus"], /device "abacus".*available: "cpu"/],
  ["no threads", ["run", "-p", "x", "--threads", "0"], /expected an integer >= 1, got "0"/],
  ["an unknown cache format", ["run", "-p", "x", "--kv-cache", "tq3"], /expected one of f32, f16, .*tq4, got tq3/],
  ["an unknown format of values", ["bench", "--kv-cache-v", "f8"], /expected one of f32, f16, .*tq4, got f8/],
  [
    "a cache format for other heads",
    ["run", "-p", "x", "--kv-cache-k", "mlx-native-v1:8"],
    /kvCache\.k: expected a format for the model's head dim 48 \(f32, .*\), got mlx-native-v1:8/,
  ],
  ["an unknown mode", logits(good, "--mode", "half"), /'half' is invalid.*full, decode/],
  ["unknown kernels", logits(good, "--kernels", "magic"), /'magic' is invalid.*native, reference/],
  ["no ids file", logits(join(dir, "none.txt")), /none\.txt/],
  ["an empty ids file", logits(ids(" \n")), /expected at least one token id, got none/],
  ["ids that are words", logits(ids("1 2\n3 four")), /:2: expected a token id, got "four"/],
  ["a negative id", logits(ids("1 -2")), /:1: expected a token id, got "-2"/],
  ["an id outside of the vocabulary", logits(ids("5 99999")), /token 1: expected an id from 0 to 1023, got 99999/],
  ["more ids than positions", logits(ids("1 ".repeat(1025))), /expected at most 1024/],
  ["no directory for the output", [...logits(good).slice(0, -1), join(dir, "no", "out.bin")], /expected a directory to write into/],
  ["a directory as the output", [...logits(good).slice(0, -1), dir], /expected the name of a file to write, got a directory/],
  ["a directory of ids", logits(dir), /expected a file of token ids, got EISDIR/],
  ["a conversion onto a directory", ["convert", dir, dir], /expected the name of a file to write, got a directory/],
  ["a conversion from nowhere", ["convert", join(dir, "none"), out], /none: expected/],
  ["a conversion to nowhere", ["convert", dir, join(dir, "no", "out.gguf")], /no directory/],
  ["an unknown type", ["convert", dir, out, "--type", "q9_9"], /'q9_9' is invalid/],
  [
    "blocks of a graph",
    ["inspect", file("g.txt", printGraph(define("g", (g) => g.input("x", "f32", [2]))).text), "--hir"],
    /expected a model for --hir, got a graph/,
  ],
  ["a graph with a mistake", ["inspect", file("h.txt", 'graph "g"\n%0 = nonsense() : f32[1]\n')], /nonsense/],
  ["two stages at once", ["inspect", "--hir", "--program"], /cannot be used with/],
  ["a bench without tokens", ["bench", "--gen", "0"], /expected an integer >= 2, got "0"/],
];

test.each(cases)("%s is one line and exit code 2", async (_, args, says) => {
  const { code, stdout, stderr } = await rlxjs(args);
  expect(stderr).toMatch(says);
  expect(stderr).toMatch(/^rlxjs: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(readdirSync(dir).filter((name) => name.includes("out"))).toEqual([]);
});
