// The programs that software Metal needs, and how to get them.
import { spawn, spawnSync } from "node:child_process";

export const packages = ["clang-19", "libclang-rt-19-dev", "llvm-19"];
export const installCommand = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(" ")}`;
/** The compiler, its C++ driver for the runtime, and the tool that names source lines in reports. */
export const programs = ["clang-19", "clang++-19", "llvm-symbolizer-19"];

/** What is missing or of the wrong version, in words; empty: everything is there. */
export function missingTools() {
  return programs.flatMap((program) => {
    const { error, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
    if (error) return [`${program} was not found`];
    const version = /version (\d+)/.exec(stdout)?.[1];
    return version === "19" ? [] : [`${program} is version ${version ?? "unknown"}, 19 is needed`];
  });
}

/**
 * Runs a program to its end.
 * @param {string} program @param {string[]} args @param {string} [input] @returns {Promise<{ status: number, stdout: string, stderr: string }>}
 */
export function run(program, args, input = "") {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", (cause) => reject(new Error(`${program} cannot be run; it comes with: ${installCommand}`, { cause })));
    child.on("close", (status) => resolve({ status: status ?? 1, stdout, stderr }));
    // A program that ends before it has read its input is judged by its status.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
