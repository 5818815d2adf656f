// Runs the programs of `programs/`, hosts in Objective-C++ that are built against Software Metal.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { buildHost } from "../../tool/driver.mjs";
import { type Architecture, hostArchitecture } from "../../tool/flags.mjs";
import { emulator } from "../machine.ts";

/** The first build of all sources takes a while; afterwards only what has changed is compiled. */
export const buildTimeout = 300_000;

/** What a program prints, by case. */
export type Cases = Record<string, string[]>;

export interface Program {
  /** All cases but those that end the process. */
  all(): Cases;
  /** One case: what it prints, and on stderr before it is aborted. */
  fatal(name: string): { output: string[]; error: string; signal: NodeJS.Signals | null };
}

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

export async function program(name: string, architecture: Architecture = hostArchitecture()): Promise<Program> {
  const file = await buildHost(fileURLToPath(new URL(`programs/${name}.mm`, import.meta.url)), { architecture });
  const run = (...args: string[]) => {
    const [command = "", ...rest] = architecture === hostArchitecture() ? [file, ...args] : [...emulator, file, ...args];
    return spawnSync(command, rest, { encoding: "utf8" });
  };
  return {
    all() {
      const { status, signal, stdout, stderr } = run();
      if (status !== 0 || stderr !== "") throw new Error(`${name} ended with ${signal ?? status}: ${stdout}${stderr}`);
      return Object.fromEntries(
        stdout
          .split("== ")
          .slice(1)
          .map((text) => {
            const [title = "", ...lines] = linesOf(text);
            return [title, lines];
          }),
      );
    },
    fatal(title) {
      const { signal, stdout, stderr } = run(title);
      return { output: linesOf(stdout).slice(1), error: stderr.trim(), signal };
    },
  };
}
