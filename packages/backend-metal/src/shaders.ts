import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { RlxError } from "@rlxjs/ir";

const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), "..");
/** In the published package, beside `dist`; in the repository, at its root. */
const folder = [join(packageRoot, "shaders"), resolve(packageRoot, "../../shaders")].find(existsSync) ?? packageRoot;

const files = new Map<string, string>();
function contentOf(name: string): string {
  const known = files.get(name);
  if (known !== undefined) return known;
  const path = join(folder, name);
  if (!existsSync(path)) throw new RlxError("ERR_SHADER", `shader "${name}": expected a file of ${folder}`);
  const text = readFileSync(path, "utf8");
  files.set(name, text);
  return text;
}

let hash: string | undefined;
/** Another one when any shader changes. */
export function shadersHash(): string {
  const text = (): string =>
    readdirSync(folder)
      .filter((name) => /\.(metal|h)$/.test(name))
      .sort()
      .map((name) => `${name}\n${contentOf(name)}`)
      .join("\n");
  hash ??= createHash("sha256").update(text()).digest("hex");
  return hash;
}

const ownInclude = /^\s*#include\s+"([^"]+)"\s*$/;

/** A text with the files that it includes in their places, each once; `#line` tells the compiler where lines are from. */
function resolveIncludes(name: string, text: string, included: Set<string>): string {
  const lines = text.split("\n").flatMap((line, i) => {
    if (line.trim() === "#pragma once") return [""];
    const [, file] = ownInclude.exec(line) ?? [];
    if (file === undefined) return [line];
    if (included.has(file)) return [""];
    included.add(file);
    return [resolveIncludes(file, contentOf(file), included), `#line ${i + 2} "${name}"`];
  });
  return [`#line 1 "${name}"`, ...lines].join("\n");
}

const common = '#include "common.h"\n';
const sources = new Map<string, string>();

/** The source of a file of `shaders/`, complete, with a generated text in front of it. */
export function fileSource(file: string, prelude: string): string {
  const key = `${file}\n${prelude}`;
  const known = sources.get(key);
  if (known !== undefined) return known;
  const included = new Set<string>();
  const name = `${file}.metal`;
  const before = prelude === "" ? "" : `${resolveIncludes(`${file} prelude`, common + prelude, included)}\n`;
  const source = before + resolveIncludes(name, contentOf(name), included);
  sources.set(key, source);
  return source;
}

/** One source of generated functions. */
export const generatedSource = (texts: readonly string[]): string => resolveIncludes("generated", common + texts.join("\n"), new Set());
