// Compiles Metal source to a shared object for the software Metal runtime.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { defaultCache, hash, once, versionFolder } from "./cache.mjs";
import { launchCode, printDiagnostics, readDiagnostics } from "./diagnostics.mjs";
import { compileFlags, hostArchitecture, linkFlags, newestVersion, preprocess } from "./flags.mjs";
import { Locations } from "./locations.mjs";
import { run } from "./toolchain.mjs";
import { translate } from "./translate.mjs";

/** @typedef {import("./flags.mjs").Architecture} Architecture */
/** @typedef {import("./diagnostics.mjs").Diagnostic} Diagnostic */
/**
 * `source`: the text of a program that is no file, `path` is then only its name. `check`: instrumented for races, bounds and uninitialised memory. `version`: of
 * the language, as __METAL_VERSION__. `optimize`: clang's level.
 * @typedef {{ source?: string, check?: boolean, version?: number, include?: string[], define?: string[], architecture?: Architecture, cache?: string,
 *   optimize?: string | undefined }} CompileOptions
 */
/** `library` is undefined when there were errors; `log` has the diagnostics as text. @typedef {{ library: string | undefined, kernels: string[],
 *   diagnostics: Diagnostic[], log: string }} Compiled */

class CompileError extends Error {
  /** @param {string} output */
  constructor(output) {
    super(output);
    this.output = output;
  }
}

/** The shim, precompiled: that makes a kernel's compilation ten times faster. @param {string} folder @param {string[]} flags */
async function precompiled(folder, flags) {
  const path = join(folder, `msl-${hash(...flags)}.pch`);
  await once(path, async (temporary) => {
    const header = join(folder, "shim", "msl.h");
    const { status, stderr } = await run("clang-19", [...flags, "-Xclang", "-emit-pch", "-c", header, "-o", temporary]);
    if (status !== 0) throw new Error(`software Metal: the shim does not compile:\n${stderr}`);
  });
  return path;
}

/**
 * @param {string} path of the .metal file
 * @param {CompileOptions} [options]
 * @returns {Promise<Compiled>}
 */
export async function compile(path, options = {}) {
  const {
    source,
    check = false,
    version = newestVersion,
    include = [],
    define = [],
    architecture = hostArchitecture(),
    cache = defaultCache,
    optimize,
  } = options;
  const folder = await versionFolder(cache);
  const search = [`-I${join(folder, "std")}`, ...include.map((dir) => `-I${dir}`), ...define.map((macro) => `-D${macro}`)];
  const input = source === undefined ? [path] : ["-"];
  const text = source === undefined ? "" : `# 1 ${JSON.stringify(path)}\n${source}`;
  const expanded = await run("clang-19", [...preprocess(version), ...search, ...input], text);
  const locations = new Locations(expanded.stdout, new Map(source === undefined ? [] : [[path, source]]));
  /** @param {Diagnostic[]} diagnostics @param {string[]} kernels @param {string} [library] @returns {Compiled} */
  const result = (diagnostics, kernels, library) => ({ library, kernels, diagnostics, log: printDiagnostics(diagnostics, locations) });
  if (expanded.status !== 0) return result(readDiagnostics(expanded.stderr, new Locations("", locations.given), "", []), []);

  const { program, kernels, map, errors } = translate(expanded.stdout, version);
  const refused = errors.map(({ offset, message }) => ({ ...locations.placeOf(offset), severity: "error", message }));
  const flags = compileFlags({ architecture, check, optimize });
  const link = linkFlags(architecture);
  const library = join(folder, "kernels", `${hash(program, ...flags, ...link)}.so`);
  const header = await precompiled(folder, flags);
  const clang = async (/** @type {string[]} */ args) => {
    const { status, stderr } = await run("clang-19", args, program);
    if (status !== 0) throw new CompileError(stderr);
  };
  const compileFrom = [...flags, "-Xclang", "-include-pch", "-Xclang", header, "-"];
  try {
    if (refused.length > 0) await clang([...compileFrom, "-fsyntax-only"]);
    else {
      await once(library, async (temporary) => {
        const object = `${temporary}.o`;
        await clang([...compileFrom, "-c", "-o", object]);
        await clang([object, ...link, "-o", temporary]).finally(() => rmSync(object));
      });
    }
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const found = readDiagnostics(error.output, locations, program, map);
    // The launch code does not fit a kernel that was refused.
    refused.push(...(refused.length > 0 ? found.filter(({ file }) => file !== launchCode && !file.startsWith(folder)) : found));
    if (!refused.some(({ severity }) => severity.endsWith("error"))) throw new Error(`software Metal: clang failed:\n${error.output}`);
  }
  return result(refused, kernels, refused.length > 0 ? undefined : library);
}
