#!/usr/bin/env node
// Compiles one .metal file and prints the path of the shared object; errors go to stderr, exit code 1. Or serves another process (serve.mjs).
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { compile } from "./compile.mjs";
import { serve } from "./serve.mjs";

const usage =
  "usage: main.mjs FILE.metal | --name NAME - [--check] [-I DIR] [-D MACRO] [--arch x64|arm64] [--cache DIR]\n       main.mjs --serve [--cache DIR]";
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    serve: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    include: { type: "string", short: "I", multiple: true, default: [] },
    define: { type: "string", short: "D", multiple: true, default: [] },
    arch: { type: "string" },
    cache: { type: "string" },
    name: { type: "string", default: "program_source" },
  },
});
if (values.serve) serve(values.cache);
else await compileFile();

async function compileFile() {
  const [file] = positionals;
  const architecture = values.arch;
  if (file === undefined || positionals.length > 1 || (architecture !== undefined && architecture !== "x64" && architecture !== "arm64")) {
    process.stderr.write(`${usage}\n`);
    process.exit(2);
  }
  const { library, log } = await compile(file === "-" ? values.name : file, {
    check: values.check,
    include: values.include,
    define: values.define,
    ...(file === "-" ? { source: readFileSync(0, "utf8") } : {}),
    ...(architecture === undefined ? {} : { architecture }),
    ...(values.cache === undefined ? {} : { cache: values.cache }),
  });
  process.stderr.write(log);
  if (library === undefined) process.exit(1);
  process.stdout.write(`${library}\n`);
}
