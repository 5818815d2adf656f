// What the builds of native addons share: cmake-js, offline, with the headers that Node already has.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { env, execPath, platform } from "node:process";

/** A directory with include/node/node.h: npm's `nodedir`, else beside the running node; undefined: cmake-js downloads the headers. */
function nodeDirectory() {
  const npm =
    env.npm_config_nodedir ?? spawnSync("npm", ["config", "get", "nodedir"], { encoding: "utf8", shell: platform === "win32" }).stdout;
  const beside = resolve(dirname(execPath), "..");
  return [npm?.trim(), beside].find((dir) => dir && existsSync(join(dir, "include", "node", "node_api.h")));
}

/**
 * Builds `source` (a folder with a CMakeLists.txt) into `out`/Release; `root` is the package that depends on cmake-js and node-addon-api.
 * Returns the exit status.
 * @param {{ root: string, source: string, out: string, define?: Record<string, string>, variables?: Record<string, string> }} build
 */
export function buildAddon({ root, source, out, define = {}, variables = {} }) {
  const require = createRequire(join(root, "package.json"));
  const args = [
    require.resolve("cmake-js/bin/cmake-js"),
    "compile",
    ...["--directory", source],
    ...["--out", out],
    ...["--parallel", String(availableParallelism())],
    `--CDRLX_NODE_ADDON_API=${resolve(require("node-addon-api").include_dir)}`,
    ...Object.entries(define).map(([name, value]) => `--CD${name}=${value}`),
  ];
  const nodedir = nodeDirectory();
  const { status, error } = spawnSync(execPath, args, {
    stdio: "inherit",
    cwd: root,
    env: { ...env, ...variables, ...(nodedir ? { npm_config_nodedir: nodedir } : {}) },
  });
  if (error) console.error(`build: ${error.message}`);
  return status ?? 1;
}
