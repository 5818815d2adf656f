// Builds the native addon into build/Release/rlxjs_cpu.node with cmake-js. Works offline: the headers are those that Node already has.
// `--sanitize` builds with AddressSanitizer and UndefinedBehaviorSanitizer into build/sanitize/Release/ instead.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);
const sanitize = process.argv.includes("--sanitize");
const windows = process.platform === "win32";

/** A directory with include/node/node.h: npm's `nodedir`, else beside the running node; undefined: cmake-js downloads the headers. */
function nodeDirectory() {
  const npm = process.env.npm_config_nodedir ?? spawnSync("npm", ["config", "get", "nodedir"], { encoding: "utf8", shell: windows }).stdout;
  const beside = resolve(dirname(process.execPath), "..");
  return [npm?.trim(), beside].find((dir) => dir && existsSync(join(dir, "include", "node", "node_api.h")));
}

const nodedir = nodeDirectory();
const { include_dir: addonApi } = require("node-addon-api");
const args = [
  require.resolve("cmake-js/bin/cmake-js"),
  "compile",
  ...["--directory", resolve(root, "../../native")],
  ...["--out", resolve(root, sanitize ? "build/sanitize" : "build")],
  ...["--parallel", String(availableParallelism())],
  `--CDRLX_NODE_ADDON_API=${resolve(addonApi)}`,
  `--CDRLX_SANITIZE=${sanitize ? "ON" : "OFF"}`,
];
const env = nodedir ? { ...process.env, npm_config_nodedir: nodedir } : process.env;
const { status, error } = spawnSync(process.execPath, args, { stdio: "inherit", cwd: root, env });
if (error) console.error(`build-native: ${error.message}`);
process.exit(status ?? 1);
