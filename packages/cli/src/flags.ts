import { fileURLToPath } from "node:url";
import { InvalidArgumentError, Option } from "commander";
import type { Device } from "@rlxjs/runtime";

/** Written into the repository by `rlxjs convert`. */
export const demoModel: string = fileURLToPath(new URL("../../../models/tales-5.6m-q8_0.gguf", import.meta.url));

/** Flags of every command that opens a device. */
export interface DeviceFlags {
  readonly device: Device;
  readonly kernels?: "native" | "reference";
  readonly threads?: number;
}

export function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min)
      throw new InvalidArgumentError(`expected an integer >= ${min}, got "${text}"`);
    return value;
  };
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError(`expected a number, got "${text}"`);
  return value;
}

export const deviceOptions = (): Option[] => [
  new Option("--device <device>", "where to run, see `rlxjs devices`").default("cpu"),
  new Option("--kernels <kernels>", "native code, or the slow TypeScript references").choices(["native", "reference"]),
  new Option("--threads <n>", "compute threads (default: cores - 1)").argParser(integer(1)),
];
