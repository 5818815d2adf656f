// `npm run setup:softmetal`: the toolchain of software Metal, from Debian. Installs it when it may, else prints the command.
import { spawnSync } from "node:child_process";
import { env, exit, getuid, platform, stderr, stdout } from "node:process";
import { installCommand, missingTools, packages } from "../native/softmetal/tool/toolchain.mjs";

if (platform !== "linux") {
  stderr.write("setup: software Metal runs on Linux (x64, arm64) only; on a Mac the real one is used\n");
  exit(1);
}
const before = missingTools();
if (before.length === 0) {
  stdout.write("setup: the toolchain of software Metal is there\n");
  exit();
}
stderr.write(`setup: ${before.join("; ")}\n`);
if (getuid?.() !== 0) {
  stderr.write(`setup: as root, on Debian or Ubuntu:\n  ${installCommand}\n`);
  exit(1);
}
/** @param {string[]} args */
const apt = (...args) => spawnSync("apt-get", args, { stdio: "inherit", env: { ...env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0;
if (!apt("update", "-qq") || !apt("install", "-y", "-qq", "--no-install-recommends", ...packages)) {
  stderr.write(`setup: failed; by hand:\n  ${installCommand}\n`);
  exit(1);
}
const after = missingTools();
if (after.length > 0) {
  stderr.write(`setup: installed, but ${after.join("; ")}\n`);
  exit(1);
}
