// Builds the runtime with its command-line driver, for tests. (An addon links the same sources itself.)
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultCache, hash, once } from "./cache.mjs";
import { hostArchitecture, targets } from "./flags.mjs";
import { run } from "./toolchain.mjs";

const home = fileURLToPath(new URL("..", import.meta.url));
const flags = ["-std=c++17", "-O2", "-g", "-Wall", "-Wextra", "-Werror"];

/** @param {string[]} args */
async function clang(args) {
  const { status, stderr } = await run("clang++-19", args);
  if (status !== 0) throw new Error(`software Metal: the runtime does not compile:\n${stderr}`);
}

/**
 * Builds what has changed, two files at a time.
 * @param {{ cache?: string, architecture?: import("./flags.mjs").Architecture }} [options]
 * @returns {Promise<string>} the program
 */
export async function buildDriver({ cache = defaultCache, architecture = hostArchitecture() } = {}) {
  const folder = join(cache, `runtime-${architecture}`);
  const target = targets[architecture];
  const sources = ["runtime", "driver"].flatMap((name) => readdirSync(join(home, name)).map((file) => join(home, name, file)));
  const headers = [...sources.filter((path) => path.endsWith(".h")), join(home, "shim", "abi.h")].sort();
  const common = hash(...headers.map((path) => readFileSync(path)), ...flags, target);
  const units = sources.filter((path) => path.endsWith(".cpp")).sort();
  const objects = units.map((path) => join(folder, `${hash(common, readFileSync(path))}-${basename(path)}.o`));
  const waiting = units.map((path, i) => ({ path, object: objects[i] }));
  const worker = async () => {
    for (let unit = waiting.pop(); unit !== undefined; unit = waiting.pop()) {
      const { path, object } = unit;
      await once(object, (temporary) => clang([...flags, target, "-c", path, "-o", temporary]));
    }
  };
  await Promise.all([worker(), worker()]);
  const driver = join(folder, `driver-${hash(...objects)}`);
  await once(driver, async (temporary) => {
    // Kernel libraries find the runtime's functions in the program: -rdynamic.
    await clang([target, "-rdynamic", ...objects, "-o", temporary, "-ldl", "-lpthread"]);
  });
  return driver;
}
