// Whether a change of a shader is one at all: the compiler may make the same code of it.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { compile } from "../../native/softmetal/tool/compile.mjs";
import { folder, replaced } from "./workplace.mjs";

/** The code of a .metal file, without line numbers. */
async function codeOf(shaders, user) {
  const { library, log } = await compile(join(shaders, user), { include: [shaders], cache: join(folder, "same-code") });
  if (library === undefined) throw new Error(log);
  const bare = `${library}.${process.pid}`;
  execFileSync("objcopy", ["--strip-debug", library, bare]);
  const code = readFileSync(bare);
  rmSync(bare);
  return { code, library };
}

const unchanged = new Map();

/** Whether all .metal files that contain a mutant's file stay what they were. `shaders`: the folder of all. */
export async function isSameCode(shaders, mutant) {
  for (const user of mutant.users.filter((name) => name.endsWith(".metal"))) {
    const path = join(shaders, user);
    if (!unchanged.has(path)) unchanged.set(path, await codeOf(shaders, user));
    const { code, library } = await replaced(join(shaders, basename(mutant.file)), mutant, () => codeOf(shaders, user));
    const original = unchanged.get(path);
    if (library !== original.library) rmSync(library, { force: true });
    if (!code.equals(original.code)) return false;
  }
  return true;
}
