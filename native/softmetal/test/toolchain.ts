import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { installCommand, missingTools } from "../tool/toolchain.mjs";

const found = (program: string): boolean => spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;

/** Tests of arm64 on another machine: further tools, which not even CI has to have. */
export function describeWithEmulator(title: string, tests: () => void): void {
  const all = ["qemu-aarch64-static", "aarch64-linux-gnu-g++"];
  const absent = process.arch === "x64" ? all.filter((program) => !found(program)) : [];
  if (absent.length === 0) describeWithToolchain(title, tests);
  else
    describe(title, () =>
      test.skip(`NOT RUN: ${absent.join(", ")} not found (apt-get install qemu-user-static g++-aarch64-linux-gnu)`, () => {}),
    );
}

const missing = process.platform === "linux" ? missingTools() : [`this is ${process.platform}, software Metal runs on Linux`];

/** Tests that need clang. */
export const describeWithToolchain = (title: string, tests: () => void): void =>
  describeWhere(missing, `npm run setup:softmetal (${installCommand})`, title, tests);

/** Tests that need what may be `absent`: they are then shown as not run, with the way to get it; where an environment says CI, that is a failure. */
export function describeWhere(absent: readonly string[], remedy: string, title: string, tests: () => void): void {
  if (absent.length === 0) {
    describe(title, tests);
    return;
  }
  const message = `${absent.join("; ")}. To run these tests: ${remedy}`;
  if (process.env.CI !== undefined && process.env.CI !== "" && process.env.CI !== "false") {
    test(title, () => expect.fail(`CI needs what these tests run on: ${message}`));
  } else {
    describe(title, () => test.skip(`NOT RUN: ${message}`, () => {}));
    process.stderr.write(`"${title}" was not run: ${message}
`);
  }
}
