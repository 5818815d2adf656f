import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));

test("the runtime imports nothing from Node, but in @rlxjs/runtime/node", () => {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts") && !f.startsWith("node"));
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) {
    const text = readFileSync(`${source}/${file}`, "utf8");
    const foreign = [...text.matchAll(/from "([^".][^"]*)"/g)]
      .map(([, name]) => name)
      .filter((n) => !["@rlxjs/ir", "ts-pattern", "immer"].includes(n ?? ""));
    expect(foreign, file).toEqual([]);
    expect(text, file).not.toMatch(/from "[./]*\/node\//);
    expect(/\b(process|Buffer|require|setImmediate|__dirname)\b[.(]/.test(text), file).toBe(false);
  }
});
