// `npm run example NAME [ARGUMENTS]`: sets up what is missing, then runs examples/NAME.ts, which Node 20 cannot read as it is.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, chdir, exit, stderr } from "node:process";
import { pathToFileURL } from "node:url";
import { root, setup } from "./setup.mjs";

const [name] = argv.splice(2, 1); // the example sees its own arguments
const names = readdirSync(join(root, "examples")).map((file) => file.replace(/\.ts$/, ""));
if (!names.includes(name)) {
  stderr.write(`example: expected one of ${names.join(", ")}, got ${name ?? "nothing"}\n`);
  exit(2);
}
setup();
chdir(root);
const { transform } = await import("esbuild");
const { code } = await transform(readFileSync(join(root, "examples", `${name}.ts`), "utf8"), {
  loader: "ts",
  target: "node20",
  format: "esm",
});
const folder = join(root, ".cache", "examples");
mkdirSync(folder, { recursive: true });
const file = join(folder, `${name}.mjs`);
writeFileSync(file, code);
await import(pathToFileURL(file).href);
