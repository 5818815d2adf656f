// Builds the runtime with a program on top of it, for tests. (An addon links the same sources itself.)
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultCache, hash, once } from "./cache.mjs";
import { hostArchitecture, targets } from "./flags.mjs";
import { run } from "./toolchain.mjs";

/** @typedef {import("./flags.mjs").Architecture} Architecture */

const home = fileURLToPath(new URL("..", import.meta.url));
const flags = ["-std=c++17", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"];
const include = join(home, "include");
/** How Objective-C++ is compiled against the headers in `include/`. */
const objectiveC = ["-fobjc-runtime=gnustep-2.0", "-fobjc-arc", "-fblocks", "-I", include];

/** @param {string[]} args */
async function clang(args) {
  const { status, stderr } = await run("clang++-19", args);
  if (status !== 0) throw new Error(`software Metal: the runtime does not compile:\n${stderr}`);
}

/** @param {string[]} folders @param {string} ending */
function filesIn(folders, ending) {
  const below = (/** @type {string} */ folder) =>
    readdirSync(join(home, folder), { recursive: true }).map((file) => join(home, folder, String(file)));
  return folders
    .flatMap(below)
    .filter((path) => path.endsWith(ending))
    .sort();
}

/** Which headers the files of a folder may include, so that a change there builds them anew: their own and those of the layers below. */
const layers = ["runtime", "objc", "include"];

/** @param {string} path */
function headersOf(path) {
  const layer = layers.findIndex((name) => path.startsWith(join(home, name)));
  return filesIn(layers.slice(0, layer < 0 ? layers.length : layer + 1), ".h");
}

/**
 * Builds what has changed, two files at a time.
 * @param {{ folders: string[], sources?: string[], shared?: boolean, cache?: string, architecture?: Architecture, name: string }} what `folders` of this one
 *   and further `sources`; `shared`: a library to be loaded, not a program
 * @returns {Promise<string>} the file
 */
export async function build({ folders, sources = [], shared = false, cache = defaultCache, architecture = hostArchitecture(), name }) {
  const folder = join(cache, `runtime-${architecture}`);
  const target = targets[architecture];
  const common = [join(home, "shim", "abi.h"), join(include, "softmetal_testing.h")];
  const units = [...filesIn(folders, ".cpp"), ...sources];
  // Paths count: a program finds the source tool by that of its own source.
  const objects = units.map((path) => {
    const files = [...headersOf(path), ...common, path].map((file) => readFileSync(file));
    return join(folder, `${hash(path, ...files, ...flags, ...objectiveC, target)}-${basename(path)}.o`);
  });
  const waiting = units.map((path, i) => ({ path, object: objects[i] }));
  const worker = async () => {
    for (let unit = waiting.pop(); unit !== undefined; unit = waiting.pop()) {
      const { path, object } = unit;
      const language = path.endsWith(".mm") ? objectiveC : [];
      await once(object, (temporary) => clang([...flags, ...language, target, "-c", path, "-o", temporary]));
    }
  };
  await Promise.all([worker(), worker()]);
  const made = join(folder, `${name}-${hash(String(shared), ...objects)}`);
  await once(made, async (temporary) => {
    // Kernel libraries find the runtime's functions in the program: -rdynamic.
    await clang([target, shared ? "-shared" : "-rdynamic", ...objects, "-o", temporary, "-ldl", "-lpthread"]);
  });
  return made;
}

/** The command-line driver. @param {{ cache?: string, architecture?: Architecture }} [options] */
export const buildDriver = (options = {}) => build({ ...options, folders: ["runtime", "driver"], name: "driver" });

/**
 * A host in Objective-C++ with Metal's objects.
 * @param {string} source @param {{ cache?: string, architecture?: Architecture, shared?: boolean, sources?: string[] }} [options]
 */
export const buildHost = (source, { sources = [], ...options } = {}) =>
  build({ ...options, folders: ["runtime", "objc"], sources: [source, ...sources], name: basename(source, ".mm") });
