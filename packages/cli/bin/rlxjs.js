#!/usr/bin/env node
import { existsSync } from "node:fs";
import { argv, stderr } from "node:process";

const program = new URL("../dist/main.js", import.meta.url);
if (existsSync(program)) {
  const { main } = await import(program.href);
  await main(argv.slice(2));
} else {
  stderr.write("rlxjs: not built yet; run `npm run setup` in the repository first\n");
  process.exitCode = 2;
}
