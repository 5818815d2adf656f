// What no run on software Metal tells of the shaders' texts, since nothing is ever contracted there.
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { fileSource } from "../src/shaders.ts";

const names = readdirSync(new URL("../../../shaders/", import.meta.url)).flatMap((file) => /^(.*)\.metal$/.exec(file)?.slice(1) ?? []);

test.each(names)("%s: every function stands behind the pragma that keeps products and sums apart", (name) => {
  const text = fileSource(name, "");
  const pragma = text.indexOf("#pragma METAL fp contract(off)");
  expect(pragma).toBeGreaterThanOrEqual(0);
  expect(/^(inline|kernel|template)\b.*/m.exec(text.slice(0, pragma))?.[0]).toBeUndefined();
});
