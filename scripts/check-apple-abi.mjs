// `node scripts/check-apple-abi.mjs [FILE.mm...]`: compiles the Objective-C++ of the Metal host (or other files) for arm64 macOS from Linux, with clang-19
// and our own headers of Metal: its runtime, blocks and calling conventions are then Apple's, and every warning is an error. The C++ standard library is
// this system's: that it is another one than Apple's does not matter to code that is never linked.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { argv, exit, platform, stderr, stdout } from "node:process";
import { installCommand, run } from "../native/softmetal/tool/toolchain.mjs";
import { root } from "./setup.mjs";

const compiler = "clang++-19";
const host = join(root, "native", "metal");
const out = join(root, ".cache", "apple-abi");

/** Where the compiler looks for this system's headers. */
function systemHeaders() {
  const { stderr: said, error } = spawnSync(compiler, ["-x", "c++", "-E", "-v", "/dev/null"], { encoding: "utf8" });
  if (error) throw new Error(`${compiler} was not found; it comes with: ${installCommand}`);
  const [, list = ""] = /search starts here:\n(.*?)End of search list/s.exec(said) ?? [];
  return list.split("\n").flatMap((line) => (line.startsWith(" /") ? [line.trim()] : []));
}

/** Two of glibc's headers ask for the processor that they were installed for. */
function replacedHeaders() {
  const files = { "gnu/stubs.h": "", "bits/wordsize.h": "#define __WORDSIZE 64\n#define __WORDSIZE_TIME64_COMPAT32 0\n" };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(out, "include", name, ".."), { recursive: true });
    writeFileSync(join(out, "include", name), text);
  }
  return join(out, "include");
}

/** The oldest SDK that is supported, and the first one with everything that the host uses where it is there. */
const sdks = { "macOS 13": 130000, "macOS 15": 150000 };

/** @param {string} file @param {number} sdk @param {string[]} include */
async function compile(file, sdk, include) {
  const args = [
    ...["--target=arm64-apple-macos13.0", "-x", "objective-c++", "-std=c++17", "-fobjc-arc", "-fblocks", "-fno-exceptions", "-O1"],
    ...["-Wall", "-Wextra", "-Werror", "-Wunguarded-availability", `-D__MAC_OS_X_VERSION_MAX_ALLOWED=${sdk}`],
    // What glibc's headers expect of the compiler, and what it defines for Apple's only.
    ...["-D_GNU_SOURCE", "-U__nonnull", "-U__nullable", "-nostdinc++", "-nostdlibinc"],
    ...[`-I${host}`, "-isystem", join(root, "native", "softmetal", "include"), ...include.flatMap((path) => ["-isystem", path])],
    ...["-c", file, "-o", join(out, `${basename(file)}-${sdk}.o`)],
  ];
  const { status, stderr: log } = await run(compiler, args);
  return { ok: status === 0, log };
}

if (platform !== "linux") {
  stderr.write("check-apple-abi: on a Mac the build itself is the check\n");
  exit();
}
const given = argv.slice(2);
const files = given.length > 0 ? given : readdirSync(host).flatMap((name) => (name.endsWith(".mm") ? [join(host, name)] : []));
const include = [replacedHeaders(), ...systemHeaders()];
const checks = files.flatMap((file) => Object.entries(sdks).map(([name, sdk]) => ({ file, name, result: compile(file, sdk, include) })));
let failed = 0;
for (const { file, name, result } of checks) {
  const { ok, log } = await result;
  stdout.write(`${basename(file)}: ${ok ? "compiles" : "FAILS"} for arm64 macOS, SDK of ${name}\n`);
  stderr.write(log);
  if (!ok) failed++;
}
exit(failed > 0 ? 1 : 0);
