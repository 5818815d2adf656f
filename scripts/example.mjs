// `npm run example NAME [ARGUMENTS]`: sets up what is missing, then runs examples/NAME.ts or examples/NAME/main.ts, which Node 20 cannot
// read as they are.
import { existsSync, readdirSync } from "node:fs";
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
const { build } = await import("esbuild");
const single = join(root, "examples", `${name}.ts`);
const entry = existsSync(single) ? single : join(root, "examples", name, "main.ts");
const outfile = join(root, ".cache", "examples", `${name}.mjs`);
await build({ entryPoints: [entry], outfile, bundle: true, packages: "external", format: "esm", target: "node20" });
await import(pathToFileURL(outfile).href);
